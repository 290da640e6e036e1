'use strict'
// A peer made of bitcoin-protocol's codecs: connects to a node on ::1 and shakes hands by hand; what
// comes then is for the caller. Scripts print one line of JSON and end.
const net = require('net')
const protocol = require('bitcoin-protocol')
const { defaultMessages } = require('bitcoin-protocol/src/messages')

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

function versionMessage (port) {
  const address = { services: Buffer.alloc(8), address: '::1', port }
  return {
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
}

// steps: command -> function of the message; `ready` is called once after the handshake.
// rawCommands: messages whose payload is wanted as bytes, and sent so.
module.exports = function connect (port, magicText, steps, rawCommands = []) {
  const magic = Number(magicText)
  const bytes = Object.fromEntries(rawCommands.map(name => [name, raw]))
  const decoding = defaultMessages(Object.assign({ version: raw }, own, bytes))
  const encoding = defaultMessages(Object.assign({}, own, bytes))
  const socket = net.connect(Number(port), '::1')
  const encoder = protocol.createEncodeStream({ magic, messages: encoding })
  const decoder = protocol.createDecodeStream({ magic, messages: decoding })
  const result = { first: [] }
  let ready = false
  const peer = {
    result,
    send: (command, payload) => encoder.write({ command, payload }),
    finish (code) {
      console.log(JSON.stringify(result))
      process.exit(code)
    },
    fail (why) {
      result.error = String(why)
      peer.finish(1)
    }
  }
  const handshake = {
    version () {
      peer.send('verack')
      peer.send('protoconf', Buffer.from('020000200007' + '44656661756c74', 'hex'))
    },
    verack () {
      if (ready) return
      ready = true
      steps.ready()
    },
    ping ({ payload }) { peer.send('pong', payload) }
  }
  encoder.pipe(socket)
  socket.pipe(decoder)
  socket.on('connect', () => peer.send('version', versionMessage(Number(port))))
  decoder.on('data', message => {
    if (result.first.length < 3) result.first.push(message.command)
    const step = handshake[message.command] || steps[message.command]
    if (step) step(message)
  })
  for (const stream of [socket, encoder, decoder]) stream.on('error', peer.fail)
  socket.on('end', () => peer.fail('closed by the node'))
  setTimeout(() => peer.fail('no end in time'), 600000) // who runs it has less patience
  return peer
}
