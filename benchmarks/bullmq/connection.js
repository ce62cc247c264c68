// Where Valkey is, in the form in which BullMQ takes it. Dramatiq deletes what is done; so here.
export const connection = (url) => {
  const { hostname, port, pathname } = new URL(url);
  return {
    host: hostname,
    port: Number(port),
    db: Number(pathname.slice(1)),
    maxRetriesPerRequest: null,
  };
};
export const jobOptions = { removeOnComplete: true, removeOnFail: true };
