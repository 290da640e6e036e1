'use strict'
// A subscriber of ZMQ messages (npm zeromq). usage: subscriber.js ADDRESS...
// Prints a line of JSON for each message: topic, body in hex (text for JSON bodies), its number.
const { Subscriber } = require('zeromq')

const texts = new Set(['invalidtx', 'discardedfrommempool', 'removedfrommempoolblock'])

async function main () {
  const socket = new Subscriber({ ipv6: true, receiveHighWaterMark: 0 })
  for (const address of process.argv.slice(2)) socket.connect(address)
  socket.subscribe()
  for await (const [topic, body, number, ...rest] of socket) {
    const name = topic.toString()
    console.log(JSON.stringify({
      topic: name,
      body: texts.has(name) ? JSON.parse(body.toString()) : body.toString('hex'),
      number: number.readUInt32LE(0),
      frames: 3 + rest.length,
      bytes: number.length
    }))
  }
}

main().catch(error => { console.error(error); process.exit(1) })
