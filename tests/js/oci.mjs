// Unmodified @sigstore/oci attaches a bundle to an image; what it needs comes in and goes out as JSON.
//
//   echo REQUEST | node oci.mjs FOLDER
//
// FOLDER holds the node_modules to use. A request {image, tag} is answered with the image's digest; with
// {image, digest, artifact, mediaType, username, password}, the artifact (base64) is attached to it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const fromFolder = createRequire(join(process.argv[2], "package.json"));
const oci = fromFolder("@sigstore/oci");

const request = JSON.parse(readFileSync(0, "utf8"));
const credentials = { headers: {}, username: request.username, password: request.password };
const answer = request.tag
  ? { digest: await oci.getImageDigest({ imageName: request.image, imageTag: request.tag, credentials }) }
  : await oci.attachArtifactToImage({
      artifact: Buffer.from(request.artifact, "base64"),
      mediaType: request.mediaType,
      imageName: request.image,
      imageDigest: request.digest,
      credentials,
      annotations: { "dev.sigstore.bundle.predicateType": request.predicateType },
    });
process.stdout.write(JSON.stringify(answer));
