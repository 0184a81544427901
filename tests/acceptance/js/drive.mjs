// Runs one scenario with the unmodified JavaScript Graph client and prints what it saw as JSON.
// usage: node drive.mjs <scenario>, with {base, token, ...} as JSON on standard input
import graph from "@microsoft/microsoft-graph-client";
import { parse } from "@sap-ux/edmx-parser";

const { Client, PageIterator, GraphError, ResponseType } = graph;

const given = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => resolve(text));
}));

const client = Client.init({
  baseUrl: given.base,
  defaultVersion: given.version ?? "v1.0",
  customHosts: new Set([new URL(given.base).hostname]),
  authProvider: (done) => done(null, given.token),
});

async function collect(path) {
  const found = [];
  const first = await client.api(path).get();
  await new PageIterator(client, first, (item) => found.push(item)).iterate();
  return found;
}

async function refusal(call) {
  try {
    await call();
  } catch (problem) {
    return {
      isGraphError: problem instanceof GraphError,
      statusCode: problem.statusCode,
      code: problem.code,
      message: problem.message,
      requestId: problem.requestId,
      hasBody: Boolean(problem.body),
    };
  }
  throw new Error("nothing was refused");
}

// What the client hands over for an answer without a body: nothing, or a stream that holds nothing.
async function text(answer) {
  return answer === undefined || answer === null ? "" : new Response(answer).text();
}

const scenarios = {
  async lists() {
    const seen = {};
    for (const path of given.paths) seen[path] = (await collect(path)).map((item) => item.id);
    return seen;
  },
  async count() {
    return client.api(given.path).responseType(ResponseType.TEXT).get();
  },
  // The metadata as a parser of OData reads it: what is declared, and every type that is named anywhere.
  async metadata() {
    const { schema, version } = parse(await client.api("/$metadata").responseType(ResponseType.TEXT).get(), "graph");
    const types = {};
    const named = [...schema.entitySets, ...schema.singletons].map((one) => one.entityTypeName);
    for (const kind of [...schema.entityTypes, ...schema.complexTypes]) {
      const properties = kind.entityProperties ?? kind.properties;
      const links = kind.navigationProperties;
      types[kind.name] = {
        properties: properties.map((one) => [one.name, one.type, one.nullable]),
        links: links.map((one) => [one.name, one.targetTypeName, one.isCollection]),
      };
      named.push(...properties.map((one) => one.type), ...links.map((one) => one.targetTypeName));
    }
    for (const one of schema.actions) named.push(one.sourceType, one.returnType);
    return {
      version,
      namespace: schema.namespace,
      types,
      enums: Object.fromEntries(schema.enumTypes.map((one) => [one.name, one.members.map((member) => member.name)])),
      operations: schema.actions.map((one) => [one.name, one.sourceType, one.isFunction]),
      roots: [...schema.entitySets, ...schema.singletons].map((one) => one.name),
      named,
    };
  },
  async main() {
    const profiles = "/education/synchronizationProfiles";
    const created = await client.api(profiles).post(given.profile);
    const path = `${profiles}/${created.id}`;
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    while ((await client.api(path).get()).state !== "provisioned") await pause(20);
    const container = new URL((await client.api(`${path}/uploadUrl`).get()).value);
    for (const [name, content] of Object.entries(given.files)) {
      const target = `${container.origin}${container.pathname}/${name}${container.search}`;
      const answer = await fetch(target, { method: "PUT", body: content, headers: { "x-ms-blob-type": "BlockBlob" } });
      if (answer.status !== 201) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
    }
    const started = await client.api(`${path}/start`).post({});
    let status;
    do {
      await pause(20);
      status = await client.api(`${path}/profileStatus`).header("Prefer", "include-unknown-enum-members").get();
    } while (["extracting", "validating", "inProgress"].includes(status.status));
    const actions = {};
    for (const action of ["pause", "resume", "reset"]) {
      const answer = await client.api(`${path}/${action}`).post({});
      actions[action] = await text(answer);
    }
    do {
      await pause(20);
      status = await client.api(`${path}/profileStatus`).header("Prefer", "include-unknown-enum-members").get();
    } while (["extracting", "validating", "inProgress"].includes(status.status));
    const patched = await client.api(`${path}/profileStatus`).patch(given.report);
    return { id: created.id, state: created.state, started: started.value, status, actions, patched };
  },
  async changes() {
    const path = given.path;
    const renamed = await client.api(path).patch({ displayName: "Renamed" });
    const minimal = await client.api(`${path}/profileStatus`).delete();
    const deleted = await client.api(path).delete();
    return { renamed: renamed.displayName, status: await text(minimal), profile: await text(deleted) };
  },
  async refusals() {
    const seen = {};
    for (const [name, { method, path, body, headers }] of Object.entries(given.calls)) {
      let request = client.api(path);
      for (const [key, value] of Object.entries(headers ?? {})) request = request.header(key, value);
      seen[name] = await refusal(() => (method === "GET" || method === "DELETE"
        ? request[method.toLowerCase()]()
        : request[method.toLowerCase()](body ?? {})));
    }
    return seen;
  },
};

console.log(JSON.stringify((await scenarios[process.argv[2]]()) ?? null));
