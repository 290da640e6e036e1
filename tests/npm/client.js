'use strict'
// An independent client: bsv-p2p connects to a node on ::1, asks for headers from a hash and for one
// block. usage: client.js PORT TICKER FROM-HASH BLOCK-HASH. Prints what it got as one line of JSON.
const Peer = require('bsv-p2p').default

const [port, ticker, from, wanted] = process.argv.slice(2)

async function main () {
  const peer = new Peer({ node: '::1', port: Number(port), ticker, autoReconnect: false })
  const problems = []
  peer.on('error_message', ({ error }) => problems.push(String(error)))
  await peer.connect()
  const delay = await peer.ping()
  const headers = await peer.getHeaders({ from: Buffer.from(from, 'hex'), timeoutSeconds: 20 })
  const got = await peer.getBlock(wanted, 20)
  const addresses = await Promise.race([
    peer.getAddr(10).then(() => 'answered', () => 'silent'),
    new Promise(resolve => setTimeout(resolve, 2000, 'silent'))
  ])
  peer.disconnect()
  console.log(JSON.stringify({
    headers: headers.map(h => h.getHash(true)),
    times: headers.map(h => h.time),
    block: got.blockHash.toString('hex'),
    height: got.height,
    size: got.blockSize,
    ping: typeof delay === 'number',
    addresses,
    problems
  }))
  process.exit(0)
}

main().catch(error => { console.error(error); process.exit(1) })
