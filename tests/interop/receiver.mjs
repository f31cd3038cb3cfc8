// The same receiver as receiver.py, on Node's HTTP server with npm's `standardwebhooks` and `svix`.
//
//     receiver.mjs SECRETS-FILE

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";

// jsonParse: the payload is not always JSON, and an empty one never is. `svix` has no such option:
// it parses what it has verified, and only then fails with a SyntaxError.
const libraries = {
  standardwebhooks: (secret, body, headers) =>
    new Standard(secret).verify(body, headers, { jsonParse: false }),
  svix: (secret, body, headers) => {
    try {
      new Svix(secret).verify(body, headers);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  },
};

const verdict = (library, secret, body, headers) => {
  try {
    library(secret, body, headers);
    return "ok";
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    const secrets = readFileSync(process.argv[2], "ascii").split(/\s+/).filter(Boolean);
    const verdicts = Object.entries(libraries).flatMap(([name, library]) =>
      secrets.map((secret) => ({
        library: name,
        verdict: verdict(library, secret, body.toString("utf8"), request.headers),
      })),
    );
    const verified = verdicts.length > 0 && verdicts.every((one) => one.verdict === "ok");
    const line = {
      id: request.headers["webhook-id"] ?? null,
      content_type: request.headers["content-type"] ?? null,
      bytes: body.length,
      sha256: createHash("sha256").update(body).digest("hex"),
      signatures: (request.headers["webhook-signature"] ?? "").split(" ").filter(Boolean).length,
      verified,
      verdicts,
    };
    console.log(JSON.stringify(line));
    response.writeHead(verified ? 204 : 401, { "content-length": "0" }).end();
  });
});

server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ listening: server.address().port }));
});
