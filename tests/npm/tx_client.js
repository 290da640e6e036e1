'use strict'
// An independent client: bsv-p2p announces a transaction to a node on ::1, hands it over when asked,
// and fetches whatever else is announced to it. usage: tx_client.js PORT TICKER RAW-HEX AWAITED-TXID
// Prints what came as one line of JSON: whether its transaction was asked for, the one awaited, and
// refusals.
const Peer = require('bsv-p2p').default
const { Transaction } = require('bsv-minimal')

const [port, ticker, raw, awaited] = process.argv.slice(2)

async function main () {
  const peer = new Peer({ node: '::1', port: Number(port), ticker, autoReconnect: false, mempoolTxs: true })
  const rejects = []
  peer.on('reject', message => rejects.push(message.reason))
  const fetched = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('the awaited transaction did not come')), 600000)
    peer.on('tx_mempool', ({ tx }) => { if (tx.getTxid() === awaited) resolve(tx.toHex()) })
  })
  peer.fetchMempoolTxs(txids => txids)
  await peer.connect()
  const tx = Transaction.fromHex(raw)
  await peer.broadcastTx(tx, 20)
  const hex = await fetched
  peer.disconnect()
  console.log(JSON.stringify({ sent: tx.getTxid(), fetched: hex, rejects }))
  process.exit(0)
}

main().catch(error => { console.error(error); process.exit(1) })
