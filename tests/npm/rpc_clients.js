'use strict'
// Two RPC clients, bitcoin-core and rpc-bitcoin, call a node by JSON-RPC and REST.
// usage: rpc_clients.js PORT USER PASSWORD TXID. Prints what they got as one line of JSON.
const Client = require('bitcoin-core')
const { RPCClient, RESTClient } = require('rpc-bitcoin')

const [port, username, password, txid] = process.argv.slice(2)

async function bitcoinCore () {
  const client = new Client({ host: `http://[::1]:${port}`, username, password })
  const best = await client.command('getbestblockhash')
  const batch = await client.command([
    { method: 'getblockcount', parameters: [] },
    { method: 'getblockhash', parameters: [1] },
    { method: 'getblockhash', parameters: [99999] }
  ])
  const failure = await client.command('getblock', '11'.repeat(32)).catch(error => error)
  return {
    best,
    info: await client.getBlockchainInfo(),
    block: await client.command('getblock', best, 1),
    raw: await client.getRawTransaction(txid),
    verbose: await client.getRawTransaction(txid, true),
    pool: await client.getRawMempool(),
    batch: [batch[0], batch[1], batch[2].code],
    failure: [failure.code, failure.message],
    rest: {
      info: await client.getBlockchainInformation(),
      block: await client.getBlockByHash(best),
      summary: await client.getBlockByHash(best, { summary: true }),
      bin: (await client.getBlockByHash(best, { extension: 'bin' })).toString('hex'),
      headers: await client.getBlockHeadersByHash(batch[1], 3),
      transaction: await client.getTransactionByHash(txid),
      outputs: await client.getUnspentTransactionOutputs([{ id: txid, index: 0 }]),
      pool: await client.getMemoryPoolInformation(),
      contents: await client.getMemoryPoolContent()
    }
  }
}

async function rpcBitcoin () {
  const client = new RPCClient({ url: 'http://[::1]', port: Number(port), user: username, pass: password })
  const rest = new RESTClient({ url: 'http://[::1]', port: Number(port) })
  const best = await client.getbestblockhash()
  return {
    best,
    info: await client.getblockchaininfo(),
    block: await client.getblock({ blockhash: best, verbosity: 1 }),
    header: await client.getblockheader({ blockhash: best }),
    raw: await client.getrawtransaction({ txid }),
    entry: await client.getmempoolentry({ txid }),
    pool: await client.getrawmempool(),
    uptime: await client.uptime(),
    rest: {
      info: await rest.getChainInfo(),
      block: await rest.getBlock({ hash: best }),
      summary: await rest.getBlockNoTxDetails({ hash: best }),
      headers: await rest.getHeaders({ count: 2, hash: best }),
      transaction: await rest.getTx({ txid }),
      outputs: await rest.getUtxos({ checkmempool: true, outpoints: [{ txid, n: 0 }, { txid, n: 7 }] }),
      pool: await rest.getMemPoolInfo(),
      contents: await rest.getMemPoolContents()
    }
  }
}

async function main () {
  console.log(JSON.stringify({ bitcoinCore: await bitcoinCore(), rpcBitcoin: await rpcBitcoin() }))
}

main().catch(error => { console.error(error); process.exit(1) })
