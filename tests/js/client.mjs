// Unmodified sigstore-js signs or verifies; what it needs comes in and goes out as JSON.
//
//   echo REQUEST | node client.mjs FOLDER
//
// FOLDER holds the node_modules to use. A request {trustConfig, token, version, artifact | statement}
// is answered with a bundle. A request {bundle, artifact?, identity, issuer} is verified against
// `trustConfig`'s root or, given {mirror, root, cache}, against the one that TUF hands out.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const fromFolder = createRequire(join(process.argv[2], "package.json"));
const sigstore = fromFolder("sigstore");
const fromSigstore = createRequire(fromFolder.resolve("sigstore"));
const { TrustedRoot, SigningConfig } = fromSigstore("@sigstore/protobuf-specs");
const { bundleBuilderFromSigningConfig } = fromSigstore("@sigstore/sign");
const { bundleFromJSON, bundleToJSON } = fromSigstore("@sigstore/bundle");
const { toSignedEntity, toTrustMaterial, Verifier } = fromSigstore("@sigstore/verify");

const request = JSON.parse(readFileSync(0, "utf8"));
const artifact = request.artifact && Buffer.from(request.artifact, "base64");

async function sign() {
  const config = structuredClone(request.trustConfig.signingConfig);
  config.rekorTlogUrls = config.rekorTlogUrls.filter((log) => log.majorApiVersion === request.version);
  const builder = bundleBuilderFromSigningConfig({
    signingConfig: SigningConfig.fromJSON(config),
    identityProvider: { getToken: async () => request.token },
    bundleType: artifact ? "messageSignature" : "dsseEnvelope",
  });
  const content = artifact
    ? { data: artifact }
    : { data: Buffer.from(request.statement), type: "application/vnd.in-toto+json" };
  return bundleToJSON(await builder.create(content));
}

async function verify() {
  if (request.mirror) {
    await sigstore.verify(request.bundle, artifact, {
      tufMirrorURL: request.mirror,
      tufRootPath: request.root,
      tufCachePath: request.cache,
      certificateIdentityEmail: request.identity,
      certificateIssuer: request.issuer,
    });
  } else {
    const root = TrustedRoot.fromJSON(request.trustConfig.trustedRoot);
    new Verifier(toTrustMaterial(root)).verify(
      toSignedEntity(bundleFromJSON(request.bundle), artifact),
      { subjectAlternativeName: request.identity, extensions: { issuer: request.issuer } },
    );
  }
  return { verified: true };
}

try {
  process.stdout.write(JSON.stringify(await (request.bundle ? verify() : sign())));
} catch (error) {
  process.stderr.write(`${error.code ?? error.name}: ${error.message} ${error.cause?.message ?? ""}\n`);
  process.exitCode = 1;
}
