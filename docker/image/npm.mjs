// The npm packages of a lock file, one a line: name, version, licence, and whether the dashboard holds it or it only
// helped to build it. For the bill of materials of the image.
import { readFileSync } from "node:fs";

const { packages } = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const [path, p] of Object.entries(packages)) {
	// Builds for other machines are in the lock file, but were not installed.
	if (path === "" || (p.cpu && !p.cpu.includes(process.arch)) || (p.os && !p.os.includes(process.platform))) continue;
	const name = path.replace(/^.*node_modules\//, "");
	console.log([name, p.version, p.license ?? "NOASSERTION", p.dev ? "tool" : "part"].join("\t"));
}
