// Sends BullMQ's jobs in `make bench-queue`:
//   node sender.js URL note COUNT INTERVAL_NS FIRST_AT_NS   one at a time, at fixed times
//   node sender.js URL nothing COUNT                        all at once
// Times are those of the machine's monotonic clock.
import { setTimeout as sleep } from "node:timers/promises";
import { Queue } from "bullmq";
import { connection, jobOptions } from "./connection.js";

const BATCH = 1_000;
const [url, name, count, interval, firstAt] = process.argv.slice(2);
const queue = new Queue("bench", { connection: connection(url), defaultJobOptions: jobOptions });
await queue.waitUntilReady();

if (name === "note") {
  for (let number = 0; number < Number(count); number += 1) {
    const due = BigInt(firstAt) + BigInt(number) * BigInt(interval);
    const wait = Number(due - process.hrtime.bigint()) / 1e6;
    if (wait > 0) await sleep(wait);
    await queue.add("note", { sent: process.hrtime.bigint().toString() });
  }
} else {
  for (let sent = 0; sent < Number(count); sent += BATCH) {
    const size = Math.min(BATCH, Number(count) - sent);
    await queue.addBulk(Array.from({ length: size }, () => ({ name, data: {} })));
  }
}
await queue.close();
