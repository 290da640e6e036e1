'use strict'
// The SDK judges proofs that a node made, and makes a transaction for it. usage: spv.js TASK, where
// TASK is JSON; the answer is one line of JSON.
//   {"do": "bump", hex, txid, roots}          root it computes, whether it holds, the bytes again
//   {"do": "beef", hex, txid, format, roots}  whether structure, proofs and scripts hold
//   {"do": "spend", beef, secret, fee}        a signed child of the subject in extended form
// roots: Merkle roots by height, the headers that the SDK is to believe.
const { Beef, MerklePath, P2PKH, PrivateKey, Transaction } = require('@bsv/sdk')

const bytes = hex => Array.from(Buffer.from(hex, 'hex'))

function tracker (roots) {
  return {
    isValidRootForHeight: async (root, height) => roots[height] === root,
    currentHeight: async () => Math.max(...Object.keys(roots).map(Number))
  }
}

async function bump ({ hex, txid, roots }) {
  const path = MerklePath.fromHex(hex)
  return {
    height: path.blockHeight,
    root: path.computeRoot(txid),
    holds: await path.verify(txid, tracker(roots)),
    again: path.toHex()
  }
}

async function beef ({ hex, txid, format, roots }) {
  const parsed = Beef.fromString(hex, 'hex')
  const subject = format === 'atomic'
    ? Transaction.fromAtomicBEEF(bytes(hex))
    : Transaction.fromBEEF(bytes(hex), txid)
  return {
    txids: parsed.txs.map(tx => tx.txid),
    bumps: parsed.bumps.map(b => b.blockHeight),
    atomic: parsed.atomicTxid ?? null,
    holds: await parsed.verify(tracker(roots)),
    subject: subject.id('hex'),
    scripts: await subject.verify(tracker(roots)).catch(error => String(error))
  }
}

async function spend ({ beef, secret, fee }) {
  const source = Transaction.fromAtomicBEEF(bytes(beef))
  const key = PrivateKey.fromHex(secret)
  const tx = new Transaction()
  tx.addInput({
    sourceTransaction: source,
    sourceOutputIndex: 0,
    unlockingScriptTemplate: new P2PKH().unlock(key)
  })
  tx.addOutput({
    lockingScript: new P2PKH().lock(key.toPublicKey().toHash()),
    satoshis: source.outputs[0].satoshis - fee
  })
  await tx.sign()
  return { txid: tx.id('hex'), extended: tx.toHexEF(), plain: tx.toHex() }
}

const task = JSON.parse(process.argv[2])
const tasks = { bump, beef, spend }
tasks[task.do](task)
  .then(answer => console.log(JSON.stringify(answer)))
  .catch(error => { console.error(error); process.exit(1) })
