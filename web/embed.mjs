// Prints the built dashboard as C: each file plain and compressed, and the table `files` that api/dashboard.c includes.
//
//     node embed.mjs DIST > files.inc
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";

const TYPES = {
	".html": "text/html; charset=utf-8",
	".js": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
	".png": "image/png",
};
const LINE = 24; // bytes

// A C string's inside. Always three octal digits, so that what follows can't join in.
function escape(bytes) {
	let text = "";
	for (const b of bytes) {
		const plain = b >= 0x20 && b < 0x7f && b !== 0x22 && b !== 0x5c && b !== 0x3f;
		text += plain ? String.fromCharCode(b) : `\\${b.toString(8).padStart(3, "0")}`;
	}
	return text;
}

function array(name, bytes) {
	const lines = [];
	for (let i = 0; i < bytes.length; i += LINE) lines.push(`\t"${escape(bytes.subarray(i, i + LINE))}"`);
	return `static const char ${name}[] =\n${lines.join("\n") || '\t""'};\n`;
}

function one(dist, path, i) {
	const type = TYPES[extname(path)];
	if (!type || !/^[A-Za-z0-9._-]+$/.test(path.replace(/^assets\//, ""))) throw new Error(`${path}: a name or type that is not served`);
	const plain = readFileSync(join(dist, path));
	const packed = gzipSync(plain, { level: 9 });
	const tag = createHash("sha256").update(plain).digest("hex").slice(0, 16);
	const gzip = packed.length < plain.length ? packed : Buffer.alloc(0);
	return {
		bytes: array(`plain_${i}`, plain) + array(`gzip_${i}`, gzip),
		row: `\t{"${path}", "${type}", "${tag}", {plain_${i}, sizeof(plain_${i}) - 1}, {gzip_${i}, sizeof(gzip_${i}) - 1}},\n`,
	};
}

const dist = process.argv[2];
const assets = readdirSync(join(dist, "assets"));
const all = ["index.html", ...assets.sort().map((name) => `assets/${name}`)].map((path, i) => one(dist, path, i));
process.stdout.write(`${all.map((f) => f.bytes).join("")}\nstatic const struct dashboard_file files[] = {\n${all.map((f) => f.row).join("")}};\n`);
