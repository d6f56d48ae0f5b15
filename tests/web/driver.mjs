// Debian's Chromium, told what to do line by line: {id, page, code, arg} in, {id, value} or {id, error} out, JSON. `code` is the body
// of an async function of playwright-core's `page`, of `arg`, and of `kept`, an object that lives as long as the page. Page 0 is the
// browser: its code gets `open` and `close`. What goes wrong on a page meanwhile is collected in kept.problems.
//
//     node driver.mjs NODE_MODULES
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.argv[2]}/`);
const { chromium } = require('playwright-core');
const AsyncFunction = (async () => {}).constructor;
const PATIENCE_MS = 5000;

const browser = await chromium.launch({
	executablePath: '/usr/bin/chromium',
	// Root has no sandbox; the machines that tests run on often have a /dev/shm of 64 MB.
	args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--js-flags=--expose-gc'],
});
const pages = new Map();
let last = 0;

// Runs in the page before anything of it: the browser's own word on what its policy refused.
function watchPolicy() {
	document.addEventListener('securitypolicyviolation', (e) =>
		console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber} ${e.sample}`));
}

async function open({ permissions = [], ...options }) {
	const context = await browser.newContext({ acceptDownloads: true, permissions, ...options });
	const page = await context.newPage();
	const kept = { problems: [], context };

	page.setDefaultTimeout(PATIENCE_MS);
	await page.addInitScript(watchPolicy);
	page.on('dialog', (d) => {
		kept.problems.push(`dialog: ${d.message()}`);
		void d.dismiss();
	});
	page.on('pageerror', (e) => kept.problems.push(`exception: ${e.stack ?? e}`));
	page.on('console', (m) => {
		if (m.type() === 'error' || m.type() === 'warning')
			kept.problems.push(`console: ${m.text()} (${m.location().url})`);
	});
	page.on('crash', () => kept.problems.push('the page crashed'));
	pages.set(++last, { page, kept });
	return last;
}

async function close(number) {
	await pages.get(number).kept.context.close();
	pages.delete(number);
}

async function run({ page, code, arg }) {
	if (page === 0)
		return await new AsyncFunction('browser', 'open', 'close', 'arg', code)(browser, open, close, arg);
	const at = pages.get(page);

	return await new AsyncFunction('page', 'kept', 'arg', 'require', code)(at.page, at.kept, arg, require);
}

async function answer(line) {
	const order = JSON.parse(line);
	let said;

	try {
		said = { id: order.id, value: (await run(order)) ?? null };
	} catch (e) {
		said = { id: order.id, error: String(e.message ?? e) };
	}
	process.stdout.write(`${JSON.stringify(said)}\n`);
}

for await (const line of createInterface({ input: process.stdin }))
	await answer(line);
await browser.close();
process.exit(0);
