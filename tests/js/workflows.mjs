// The platform's own readers of workflows: one JSON question a line, one JSON answer a line.
//   {"workflow": TEXT}                       -> {"errors": [MESSAGE, …]}
//   {"yaml": TEXT}                           -> {"value": JSON} or {"errors": [MESSAGE, …]}
//   {"expression": TEXT, "contexts": {…}}    -> {"value": JSON} or {"errors": [MESSAGE]}
import {register} from "node:module";
import {createInterface} from "node:readline";

// The packages import JSON without an attribute, which Node.js refuses by itself.
register("data:text/javascript," + encodeURIComponent(`
  import {readFileSync} from "node:fs";
  import {fileURLToPath} from "node:url";
  export async function load(url, context, next) {
    if (!url.endsWith(".json")) return next(url, context);
    const source = "export default " + readFileSync(fileURLToPath(url), "utf-8");
    return {format: "module", shortCircuit: true, source};
  }`));

const {parseWorkflow} = await import("@actions/workflow-parser/workflows/workflow-parser");
const {convertWorkflowTemplate} = await import("@actions/workflow-parser/model/convert");
const {NoOperationTraceWriter} = await import("@actions/workflow-parser/templates/trace-writer");
const {Evaluator, Lexer, Parser, data} = await import("@actions/expressions");
const {parseDocument} = await import("yaml");
const {reviver} = await import("@actions/expressions/data/reviver");
const {replacer} = await import("@actions/expressions/data/replacer");

async function workflow(text) {
  const {context, value} = parseWorkflow({name: "ci.yml", content: text}, new NoOperationTraceWriter());
  if (value && !context.errors.getErrors().length) await convertWorkflowTemplate(context, value);
  return {errors: context.errors.getErrors().map(error => error.message)};
}

function yaml(text) {
  const document = parseDocument(text, {uniqueKeys: false});
  return document.errors.length ? {errors: document.errors.map(error => error.message)} : {value: document.toJS()};
}

function expression(text, contexts) {
  const known = JSON.parse(JSON.stringify(contexts), reviver);
  const tree = new Parser(new Lexer(text).lex().tokens, Object.keys(contexts), []).parse();
  return {value: JSON.parse(JSON.stringify(new Evaluator(tree, known).evaluate(), replacer))};
}

for await (const line of createInterface({input: process.stdin})) {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = "workflow" in question ? await workflow(question.workflow)
      : "yaml" in question ? yaml(question.yaml)
      : expression(question.expression, question.contexts);
  } catch (error) {
    answer = {errors: [String(error.message)]};
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
