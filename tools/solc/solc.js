"use strict";
// The Solidity compiler of npm's `solc` package (soljson.js, WebAssembly) behind the command
// line of the native one, for machines that cannot download it. Same version, same bytecode.
//
//   solc --version
//   solc --standard-json [FILE] [--base-path DIR] [--include-path DIR]... [--allow-paths DIR,DIR]
//
// scripts/install_solc.py copies this file and soljson.js into one folder and registers them as
// ~/.solcx/solc-v0.8.37, where Brownie, py-solc-x and forge find them. No dependency but Node.

const fs = require("fs");
const path = require("path");

const WITH_VALUE = ["--base-path", "--include-path", "--allow-paths"];
const FLAGS = ["--version", "--standard-json", "--pretty-json", "--no-import-callback"];

function parseArguments(argv) {
  const options = { includes: [], allowed: [], base: "", file: null };
  const words = argv.flatMap((word) => (/^--[a-z-]+=/.test(word) ? [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)] : [word]));
  while (words.length > 0) {
    const word = words.shift();
    if (WITH_VALUE.includes(word)) {
      const value = words.shift();
      if (value === undefined) fail(`the required argument for option '${word}' is missing`);
      if (word === "--base-path") options.base = value;
      if (word === "--include-path") options.includes.push(value);
      if (word === "--allow-paths") options.allowed.push(...value.split(",").filter(Boolean));
    } else if (FLAGS.includes(word)) {
      options[word] = true;
    } else if (word === "-") {
      options.file = null;
    } else if (word.startsWith("-")) {
      fail(`unrecognised option '${word}' (this is npm's solc: only --version and --standard-json)`);
    } else {
      options.file = word;
    }
  }
  return options;
}

function fail(message) {
  process.stderr.write(`Error: ${message}\n`);
  process.exit(1);
}

// As libsolidity's FileReader: exactly one file under the base and include paths, inside what is allowed.
function reader({ base, includes, allowed }) {
  const roots = [base, ...includes].map((folder) => path.resolve(folder));
  const permitted = [...roots, ...allowed.map((folder) => path.resolve(folder))].map(realpath);
  return (name) => {
    const wanted = name.replace(/^file:\/\//, "");
    const searched = path.isAbsolute(wanted) ? [wanted] : [...new Set(roots.map((root) => path.join(root, wanted)))];
    const found = searched.filter((file) => fs.existsSync(file));
    if (found.length === 0) return { error: `File not found. Searched the following locations: ${searched.map((file) => `"${file}"`).join(", ")}.` };
    if (found.length > 1) return { error: `Ambiguous import. Multiple matching files found inside base path and/or include paths: ${found.map((file) => `"${file}"`).join(", ")}.` };
    const real = realpath(found[0]);
    if (!permitted.some((folder) => real === folder || real.startsWith(folder.replace(/\/?$/, "/")))) return { error: "File outside of allowed directories." };
    if (!fs.statSync(real).isFile()) return { error: "Not a valid file." };
    return { contents: fs.readFileSync(real, "utf8") };
  };
}

function realpath(file) {
  return fs.existsSync(file) ? fs.realpathSync(file) : file;
}

function loadCompiler() {
  return require(path.join(__dirname, "soljson.js"));
}

// libsolc's C interface (libsolc/libsolc.h): strings in, strings out, one callback for imports.
function compile(soljson, input, read) {
  const giveString = (text, target) => {
    const size = soljson.lengthBytesUTF8(text) + 1;
    const buffer = soljson._solidity_alloc(size);
    soljson.stringToUTF8(text, buffer, size);
    soljson.setValue(target, buffer, "*");
  };
  const callback = soljson.addFunction((_context, kind, data, contents, error) => {
    const isImport = soljson.UTF8ToString(kind) === "source";
    const answer = isImport ? read(soljson.UTF8ToString(data)) : { error: "Only imports are supported." };
    if (answer.error === undefined) giveString(answer.contents, contents);
    else giveString(answer.error, error);
  }, "viiiii");
  return soljson.cwrap("solidity_compile", "string", ["string", "number", "number"])(input, callback, null);
}

// soljson writes the ids of built-ins (negative, 64 bits wide in the native compiler) as unsigned
// 32-bit numbers: 4294967281 for -15. Static analysers rely on the sign.
function restoreBuiltinIds(output) {
  const signed = (digits) => (Number(digits) >= 2 ** 31 ? String(Number(digits) - 2 ** 32) : digits);
  return output
    .replace(/("referencedDeclaration":\s*)(\d{10})(?=\D)/g, (_all, key, digits) => key + signed(digits))
    .replace(/"overloadedDeclarations":\s*\[[\d,\s]*\]/g, (list) => list.replace(/\d{10}/g, signed));
}

function main() {
  const options = parseArguments(process.argv.slice(2));
  if (options["--version"]) {
    const version = loadCompiler().cwrap("solidity_version", "string", [])();
    process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}\n`);
  } else if (options["--standard-json"]) {
    const input = fs.readFileSync(options.file === null ? 0 : options.file, "utf8");
    const read = options["--no-import-callback"] ? () => ({ error: "File import callback not supported" }) : reader(options);
    const output = restoreBuiltinIds(compile(loadCompiler(), input, read));
    const pretty = options["--pretty-json"] ? JSON.stringify(JSON.parse(output), null, 2) : output;
    process.stdout.write(`${pretty}\n`);
  } else {
    fail("nothing to do: this is npm's solc, give --version or --standard-json");
  }
}

main();
