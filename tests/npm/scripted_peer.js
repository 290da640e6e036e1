'use strict'
// A peer made of bitcoin-protocol's codecs. It connects to a node on ::1, shakes hands by hand, and
// does what its steps say. usage: scripted_peer.js PORT MAGIC-HEX FROM-HASH BLOCK-HASH
// Prints one line of JSON: the order of the first messages, headers, transactions of the block,
// the pong, and how the node reacted to an inventory with an unknown block.
const net = require('net')
const protocol = require('bitcoin-protocol')
const { defaultMessages } = require('bitcoin-protocol/src/messages')

const [port, magicText, from, wanted] = process.argv.slice(2)
const magic = Number(magicText)
const internal = hex => Buffer.from(hex, 'hex').reverse()

// Messages the package does not know, and version with its trailing fields, as raw bytes.
const raw = {
  encode: function encode (value, buffer) {
    const out = Buffer.isBuffer(value) ? value : Buffer.alloc(0)
    encode.bytes = out.length
    if (!buffer) return out
    out.copy(buffer)
    return buffer
  },
  decode: function decode (buffer) {
    decode.bytes = buffer.length
    return Buffer.from(buffer)
  },
  encodingLength: value => value.length
}
const own = {}
for (const name of ['protoconf', 'sendcmpct', 'feefilter', 'authch', 'extmsg', 'sendhdrsen']) own[name] = raw
const decoding = defaultMessages(Object.assign({ version: raw }, own))
const encoding = defaultMessages(own)

const address = { services: Buffer.alloc(8), address: '::1', port: Number(port) }
const version = {
  version: 70015,
  services: Buffer.alloc(8),
  timestamp: Math.round(Date.now() / 1000),
  receiverAddress: address,
  senderAddress: address,
  nonce: Buffer.from('0011223344556677', 'hex'),
  userAgent: '/BSV-bitcoin-protocol:4.1.3/',
  startHeight: 0,
  relay: true
}

const socket = net.connect(Number(port), '::1')
const encoder = protocol.createEncodeStream({ magic, messages: encoding })
const decoder = protocol.createDecodeStream({ magic, messages: decoding })
encoder.pipe(socket)
socket.pipe(decoder)
const send = (command, payload) => encoder.write({ command, payload })

const result = { first: [], headers: [], transactions: 0, pong: false, asked: false }
const nonce = Buffer.from('a1b2c3d4e5f60718', 'hex')
let ready = false

function finish (code) {
  console.log(JSON.stringify(result))
  process.exit(code)
}

const steps = {
  version () { send('verack'); send('protoconf', Buffer.from('020000200007' + '44656661756c74', 'hex')) },
  verack () {
    if (ready) return
    ready = true
    send('getheaders', { version: 70015, locator: [internal(from)], hashStop: Buffer.alloc(32) })
  },
  headers ({ payload }) {
    if (result.headers.length) return
    result.headers = payload.map(row => row.header.prevHash.toString('hex'))
    send('getdata', [{ type: 2, hash: internal(wanted) }])
  },
  block ({ payload }) {
    result.transactions = payload.transactions.length
    result.first_input = payload.transactions[0].ins.length
    send('inv', [{ type: 2, hash: Buffer.alloc(32, 7) }])
    send('ping', { nonce })
  },
  getheaders ({ payload }) {
    result.asked = result.asked || payload.hashStop.equals(Buffer.alloc(32, 7))
  },
  pong ({ payload }) {
    result.pong = payload.nonce.equals(nonce)
    finish(0)
  },
  ping ({ payload }) { send('pong', payload) }
}

socket.on('connect', () => send('version', version))
decoder.on('data', message => {
  if (result.first.length < 3) result.first.push(message.command)
  if (steps[message.command]) steps[message.command](message)
})
for (const stream of [socket, encoder, decoder]) {
  stream.on('error', error => { result.error = String(error); finish(1) })
}
socket.on('end', () => { result.error = 'closed by the node'; finish(1) })
setTimeout(() => { result.error = 'no end in time'; finish(1) }, 20000)
