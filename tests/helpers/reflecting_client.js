// What reflecting_client.py does, in node: ADDRESS CA CERT KEY ARGV..., with @grpc/grpc-js and
// grpc-js-reflection-client, and neither .proto files nor generated code.
"use strict";

const fs = require("node:fs");
const grpc = require("@grpc/grpc-js");
const { GrpcReflection } = require("grpc-js-reflection-client");

async function main(address, ca, cert, key, ...argv) {
  const read = (path) => fs.readFileSync(path);
  const credentials = grpc.credentials.createSsl(read(ca), read(key), read(cert));
  const reflection = new GrpcReflection(address, credentials);
  const [name] = (await reflection.listServices()).filter((each) => each.endsWith(".JobService"));
  const descriptor = await reflection.getDescriptorBySymbol(name);
  const found = descriptor.getPackageObject({ keepCase: true, enums: String, longs: String, oneofs: true });
  const Service = name.split(".").reduce((within, part) => within[part], found);
  const client = new Service(address, credentials);
  const deadline = Date.now() + 30_000;
  const started = await new Promise((resolve, reject) =>
    client.StartJob({ argv }, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer))),
  );
  let ended = null;
  for await (const message of client.StreamOutput({ job_id: started.job_id, follow: true }, { deadline })) {
    fs.writeSync(1, message.data ?? Buffer.alloc(0));
    ended = message.ended ?? ended;
  }
  console.error(name, ended.state);
  client.close();
  process.exit(ended[ended.outcome]);
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(125);
});
