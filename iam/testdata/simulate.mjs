// Reads simulations, one a line, and prints what iam-simulate says of each: allowed or denied.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const lines = createInterface({ input: createReadStream(process.argv[2]) })
for await (const line of lines) {
  const result = await runSimulation(JSON.parse(line), {})
  if (result.resultType === 'error') throw new Error(JSON.stringify(result.errors))
  console.log(result.overallResult === 'Allowed' ? 'allowed' : 'denied')
}
