// BullMQ's worker in `make bench-queue`: node worker.js URL RESULTS CONCURRENCY TOTAL
// The jobs are those of benchmarks/queue_brokers.py.
import { appendFileSync } from "node:fs";
import { Worker } from "bullmq";
import { connection } from "./connection.js";

const [url, results, concurrency, total] = process.argv.slice(2);
const write = (nanoseconds) => appendFileSync(results, `${nanoseconds}\n`);
let count = 0;
let begunAt = 0n;

const run = async (job) => {
  if (job.name === "note") {
    write(process.hrtime.bigint() - BigInt(job.data.sent));
    return;
  }
  count += 1;
  if (count === 1) begunAt = process.hrtime.bigint();
  else if (count === Number(total)) write(process.hrtime.bigint() - begunAt);
};

const worker = new Worker("bench", run, {
  connection: connection(url),
  concurrency: Number(concurrency),
});
worker.on("error", (error) => console.error(error));
process.on("SIGTERM", async () => {
  await worker.close();
  process.exit(0);
});
await worker.waitUntilReady();
console.log("ready");
