'use strict'
// The SDK as the other side of a wallet. usage: wallet.js TASK, where TASK is JSON; the answer is one
// line of JSON.
//   {"do": "key", wif}                          address and key of a WIF of a test network
//   {"do": "sign", secret, message, verifier}   a message as signmessage, BRC-77 and 78 have it
//   {"do": "verify", secret, signer, message, ...}  the same, read
//   {"do": "pay", secret, beef, index, spend, payee, prefix, suffix, amount}  a payment (BRC-29)
//   {"do": "take", secret, payment, roots}      outputs of a payment with the secrets of their keys
const {
  BSM, EncryptedMessage, KeyDeriver, P2PKH, PrivateKey, PublicKey, Signature, SignedMessage,
  Transaction, Utils
} = require('@bsv/sdk')

const bytes = (text, form) => Array.from(Buffer.from(text, form))
const base64 = data => Buffer.from(data).toString('base64')
const TEST = [0x6f]
const PAYMENT = [2, '3241645161d8']

async function key ({ wif }) {
  const k = PrivateKey.fromWif(wif, 1)
  return {
    address: k.toAddress(TEST),
    pubkey: k.toPublicKey().toString(),
    secret: k.toHex(),
    wif: k.toWif([0xef])
  }
}

async function sign ({ secret, message, verifier }) {
  const k = PrivateKey.fromHex(secret)
  const text = bytes(message, 'utf8')
  const other = PublicKey.fromString(verifier)
  return {
    bsm: BSM.sign(text, k, 'base64'),
    anyone: base64(SignedMessage.sign(text, k)),
    one: base64(SignedMessage.sign(text, k, other)),
    sealed: base64(EncryptedMessage.encrypt(text, k, other))
  }
}

async function verify ({ secret, signer, message, bsm, anyone, one, sealed }) {
  const k = PrivateKey.fromHex(secret)
  const text = bytes(message, 'utf8')
  return {
    bsm: BSM.verify(text, Signature.fromCompact(bsm, 'base64'), PublicKey.fromString(signer)),
    anyone: SignedMessage.verify(text, bytes(anyone, 'base64')),
    one: SignedMessage.verify(text, bytes(one, 'base64'), k),
    sealed: Utils.toUTF8(EncryptedMessage.decrypt(bytes(sealed, 'base64'), k))
  }
}

async function pay ({ secret, beef, index = 0, spend, payee, prefix, suffix, amount }) {
  const source = Transaction.fromAtomicBEEF(bytes(beef, 'hex'))
  const to = new KeyDeriver(PrivateKey.fromHex(secret))
    .derivePublicKey(PAYMENT, `${prefix} ${suffix}`, payee)
  const tx = new Transaction()
  tx.addInput({
    sourceTransaction: source,
    sourceOutputIndex: index,
    unlockingScriptTemplate: new P2PKH().unlock(PrivateKey.fromHex(spend))
  })
  tx.addOutput({ lockingScript: new P2PKH().lock(to.toHash()), satoshis: amount })
  await tx.sign()
  return {
    txid: tx.id('hex'),
    v1: tx.toHexBEEF(),
    payment: {
      senderIdentityKey: PrivateKey.fromHex(secret).toPublicKey().toString(),
      derivationPrefix: prefix,
      tx: tx.toHexAtomicBEEF(),
      outputs: [{ outputIndex: 0, derivationSuffix: suffix }]
    }
  }
}

async function take ({ secret, payment, roots }) {
  const tx = Transaction.fromAtomicBEEF(bytes(payment.tx, 'hex'))
  const deriver = new KeyDeriver(PrivateKey.fromHex(secret))
  const tracker = {
    isValidRootForHeight: async (root, height) => roots[height] === root,
    currentHeight: async () => Math.max(...Object.keys(roots).map(Number))
  }
  return {
    holds: await tx.verify(tracker),
    outputs: payment.outputs.map(({ outputIndex, derivationSuffix }) => {
      const k = deriver.derivePrivateKey(PAYMENT, `${payment.derivationPrefix} ${derivationSuffix}`,
        payment.senderIdentityKey)
      const out = tx.outputs[outputIndex]
      const own = new P2PKH().lock(k.toPublicKey().toHash()).toHex()
      return { satoshis: out.satoshis, ours: out.lockingScript.toHex() === own, wif: k.toWif([0xef]) }
    })
  }
}

const task = JSON.parse(process.argv[2])
const tasks = { key, sign, verify, pay, take }
tasks[task.do](task)
  .then(answer => console.log(JSON.stringify(answer)))
  .catch(error => { console.error(error); process.exit(1) })
