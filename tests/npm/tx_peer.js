'use strict'
// Announces a transaction, hands it over when asked, waits until another one is announced, and
// fetches it. usage: tx_peer.js PORT MAGIC-HEX TXID RAW-HEX AWAITED-TXID
// Prints one line of JSON: that it was asked, and the bytes of the one awaited.
const connect = require('./protocol_peer')

const [port, magic, txid, rawHex, awaited] = process.argv.slice(2)
const internal = hex => Buffer.from(hex, 'hex').reverse()
const isTx = (item, id) => item.type === 1 && item.hash.equals(internal(id))

const peer = connect(port, magic, {
  ready () { peer.send('inv', [{ type: 1, hash: internal(txid) }]) },
  getdata ({ payload }) {
    if (!payload.some(item => isTx(item, txid))) return
    peer.result.asked = true
    peer.send('tx', Buffer.from(rawHex, 'hex'))
  },
  inv ({ payload }) {
    if (payload.some(item => isTx(item, awaited))) peer.send('getdata', [{ type: 1, hash: internal(awaited) }])
  },
  tx ({ payload }) {
    peer.result.fetched = payload.toString('hex')
    peer.finish(0)
  },
  reject () { peer.fail('the node refused the transaction') }
}, ['tx'])
Object.assign(peer.result, { asked: false, fetched: '' })
