// Runs spends of one output through the interpreter of the BSV SDK (@bsv/sdk).
// usage: spend.js FILE, with {lock, capacity, funding_outpoint, cases: [{name, tx}]}
// Prints {name: true | false | the SDK's message}.
const fs = require('fs')
const { Transaction, LockingScript, Spend } = require('@bsv/sdk')

const given = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))
const lockingScript = LockingScript.fromHex(given.lock)

function judge (hex) {
  const tx = Transaction.fromHex(hex)
  const inputs = tx.inputs.map(i => ({ ...i, sourceTXID: i.sourceTXID }))
  const at = inputs[0]
  return new Spend({
    sourceTXID: at.sourceTXID,
    sourceOutputIndex: at.sourceOutputIndex,
    sourceSatoshis: given.capacity,
    lockingScript,
    transactionVersion: tx.version,
    otherInputs: inputs.slice(1),
    outputs: tx.outputs,
    inputIndex: 0,
    unlockingScript: at.unlockingScript,
    inputSequence: at.sequence,
    lockTime: tx.lockTime
  }).validate()
}

const answers = {}
for (const one of given.cases) {
  try {
    answers[one.name] = judge(one.tx)
  } catch (error) {
    answers[one.name] = String(error.message).slice(0, 120)
  }
}
console.log(JSON.stringify(answers))
