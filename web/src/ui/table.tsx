// Tables. The long one only has the rows in its document that can be seen: they all have the same
// height, which the style sheet gives them by --row.
import { Component, type ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

export interface Column<T> {
	key: string;
	title: string;
	cell: (row: T) => ComponentChildren;
	sort?: boolean;
	/** Also the name of its place on a phone. */
	class?: string;
}

export interface Sort {
	key: string;
	down: boolean;
}

interface Props<T> {
	label: string;
	columns: Column<T>[];
	rows: T[];
	keyOf: (row: T) => string;
	sort?: Sort;
	onSort?: (sort: Sort) => void;
	class?: string;
	/** Changes whenever cells may show something else for the same rows; left out: always. */
	stamp?: string;
}

function HeadCell<T>(p: { column: Column<T>; sort: Sort | undefined; onSort: ((s: Sort) => void) | undefined }) {
	const { column: c, sort } = p;
	const here = sort?.key === c.key;
	const order = here ? (sort.down ? 'descending' : 'ascending') : undefined;

	return (
		<th role="columnheader" scope="col" class={c.class} aria-sort={c.sort ? (order ?? 'none') : undefined}>
			{c.sort ? (
				<button
					type="button"
					class={`sort ${order ?? ''}`}
					onClick={() => p.onSort?.({ key: c.key, down: here ? !sort.down : false })}
				>
					{c.title}
				</button>
			) : (
				c.title
			)}
		</th>
	);
}

interface RowProps<T> {
	row: T;
	columns: Column<T>[];
	index?: number;
	stamp?: string | undefined;
}

/** Drawn again only when there may be something else to see: see stamp. */
class Row<T> extends Component<RowProps<T>> {
	override shouldComponentUpdate(next: RowProps<T>): boolean {
		const now = this.props;

		return (
			next.stamp === undefined ||
			next.stamp !== now.stamp ||
			next.row !== now.row ||
			next.index !== now.index ||
			next.columns !== now.columns
		);
	}

	override render(p: RowProps<T>) {
		return (
			<tr role="row" aria-rowindex={p.index}>
				{p.columns.map((c) => (
					<td role="cell" key={c.key} class={c.class} data-title={c.title}>
						{c.cell(p.row)}
					</td>
				))}
			</tr>
		);
	}
}

function Head<T>(p: Props<T>) {
	return (
		<thead role="rowgroup">
			<tr role="row">
				{p.columns.map((c) => (
					<HeadCell key={c.key} column={c} sort={p.sort} onSort={p.onSort} />
				))}
			</tr>
		</thead>
	);
}

export function Table<T>(p: Props<T>) {
	return (
		<div class="table-box" tabIndex={0} role="region" aria-label={p.label}>
			<table role="table" class={p.class} aria-label={p.label}>
				<Head {...p} />
				<tbody role="rowgroup">
					{p.rows.map((row) => (
						<Row key={p.keyOf(row)} row={row} columns={p.columns} />
					))}
				</tbody>
			</table>
		</div>
	);
}

const OVERSCAN = 6;

function rowHeight(table: HTMLElement): number {
	return parseFloat(getComputedStyle(table).getPropertyValue('--row')) || 44;
}

/** Which rows of n the window shows. */
function useWindow(n: number) {
	const body = useRef<HTMLTableElement>(null);
	const height = useRef(0); // of a row; asking for it is dear
	const [seen, setSeen] = useState({ first: 0, last: Math.min(n, 60), row: 44 });

	const look = () => {
		if (!body.current)
			return;
		const row = (height.current ||= rowHeight(body.current));
		const top = -body.current.getBoundingClientRect().top;
		// In steps, so that not every pixel of scrolling draws anew.
		const at = Math.floor(Math.max(0, top / row - OVERSCAN) / 5) * 5;
		const first = Math.min(at, Math.max(0, n - 1));
		const last = Math.min(n, first + Math.ceil(innerHeight / row) + 2 * OVERSCAN + 5);

		setSeen((s) => (s.first === first && s.last === last && s.row === row ? s : { first, last, row }));
	};

	useLayoutEffect(look, [n]);
	useEffect(() => {
		let frame = 0;
		const soon = () => {
			cancelAnimationFrame(frame);
			frame = requestAnimationFrame(look);
		};

		const resized = () => {
			height.current = 0;
			soon();
		};

		addEventListener('scroll', soon, { passive: true });
		addEventListener('resize', resized);
		return () => {
			cancelAnimationFrame(frame);
			removeEventListener('scroll', soon);
			removeEventListener('resize', resized);
		};
	}, [n]);
	return { body, ...seen, last: Math.min(seen.last, n) };
}

function Spacer(p: { height: number; columns: number }) {
	return (
		<tbody aria-hidden="true" class="spacer">
			<tr>
				<td colSpan={p.columns} style={{ height: `${p.height}px` }} />
			</tr>
		</tbody>
	);
}

export function LongTable<T>(p: Props<T>) {
	const n = p.rows.length;
	const { body, first, last, row } = useWindow(n);

	return (
		<table
			role="table"
			ref={body}
			class={`long ${p.class ?? ''}`}
			aria-label={p.label}
			aria-rowcount={n + 1}
		>
			<Head {...p} />
			{first > 0 && <Spacer height={first * row} columns={p.columns.length} />}
			<tbody role="rowgroup">
				{p.rows.slice(first, last).map((r, i) => (
					<Row key={p.keyOf(r)} row={r} columns={p.columns} index={first + i + 2} stamp={p.stamp} />
				))}
			</tbody>
			{last < n && <Spacer height={(n - last) * row} columns={p.columns.length} />}
		</table>
	);
}

/** A text by which texts can be sorted as people do: without case and accents, numbers by their size.
 * A collator does it better, and takes a second for ten thousand names. */
export function sortKey(text: string): string {
	return text
		.normalize('NFKD')
		.replace(/\p{M}/gu, '')
		.toLowerCase()
		.replace(/\d+/g, (digits) => digits.replace(/^0+(?=\d)/, '').padStart(16, '0'));
}

/** Rows in the order of a column. */
export function ordered<T>(rows: T[], by: (row: T) => string | number, down: boolean): T[] {
	const keyed = rows.map((row) => {
		const key = by(row);

		return { row, key: typeof key === 'string' ? sortKey(key) : key };
	});
	const turn = down ? -1 : 1;

	keyed.sort((a, b) => (a.key < b.key ? -turn : a.key > b.key ? turn : 0));
	return keyed.map((k) => k.row);
}
