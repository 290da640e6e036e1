'use strict'
// Asks for headers and a block, and does what its steps say.
// usage: scripted_peer.js PORT MAGIC-HEX FROM-HASH BLOCK-HASH
// Prints one line of JSON: the order of the first messages, headers, transactions of the block,
// the pong, and how the node reacted to an inventory with an unknown block.
const connect = require('./protocol_peer')

const [port, magic, from, wanted] = process.argv.slice(2)
const internal = hex => Buffer.from(hex, 'hex').reverse()
const nonce = Buffer.from('a1b2c3d4e5f60718', 'hex')

const peer = connect(port, magic, {
  ready () {
    peer.send('getheaders', { version: 70015, locator: [internal(from)], hashStop: Buffer.alloc(32) })
  },
  headers ({ payload }) {
    if (peer.result.headers.length) return
    peer.result.headers = payload.map(row => row.header.prevHash.toString('hex'))
    peer.send('getdata', [{ type: 2, hash: internal(wanted) }])
  },
  block ({ payload }) {
    peer.result.transactions = payload.transactions.length
    peer.result.first_input = payload.transactions[0].ins.length
    peer.send('inv', [{ type: 2, hash: Buffer.alloc(32, 7) }])
    peer.send('ping', { nonce })
  },
  getheaders ({ payload }) {
    peer.result.asked = peer.result.asked || payload.hashStop.equals(Buffer.alloc(32, 7))
  },
  pong ({ payload }) {
    peer.result.pong = payload.nonce.equals(nonce)
    peer.finish(0)
  }
})
Object.assign(peer.result, { headers: [], transactions: 0, pong: false, asked: false })
