// Traffic over time: uPlot on a canvas, in the colours of the style sheet, and the same in words.
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { History, RANGES, type Range } from '../history.ts';
import { epoch, pulse, latest } from '../live.ts';
import type { Traffic, TrafficEvent } from '../model.ts';
import { asProblem, get, type Problem } from '../rest.ts';
import { useStore } from '../store.ts';
import { serverNow } from '../stream.ts';
import { bytes, clockTime, rate, shortTime } from '../units.ts';
import { Panel } from './bits.tsx';
import { Button } from './form.tsx';
import { ProblemNote } from './states.tsx';

type Series = ReturnType<History['series']>;

function colour(name: string): string {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function axis(extra: uPlot.Axis): uPlot.Axis {
	return {
		stroke: colour('--soft'),
		grid: { stroke: colour('--line'), width: 1 },
		ticks: { stroke: colour('--line'), width: 1, size: 4 },
		font: '12px system-ui, sans-serif',
		...extra,
	};
}

function line(name: string, label: string, filled: boolean): uPlot.Series {
	return {
		label,
		stroke: colour(`--${name}`),
		...(filled && { fill: colour(`--${name}-fill`) }),
		width: 1.5,
		spanGaps: true,
		points: { show: false },
	};
}

const clockOf = (dateStyle: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(undefined, dateStyle);
const SECONDS = clockOf({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
const MINUTES = clockOf({ hour: '2-digit', minute: '2-digit' });
const DAYS = clockOf({ day: 'numeric', month: 'short' });
const MONTHS = clockOf({ month: 'short', year: 'numeric' });

function timeFormat(increment: number): Intl.DateTimeFormat {
	if (increment < 60)
		return SECONDS;
	if (increment < 86400)
		return MINUTES;
	return increment < 28 * 86400 ? DAYS : MONTHS;
}

/** In the viewer's zone and way of writing; midnight is the day that begins. */
function timeLabels(ticks: number[], increment: number): string[] {
	const format = timeFormat(increment);

	return ticks.map((t) => {
		const at = new Date(t * 1000);
		const midnight = at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0;

		return (format === MINUTES && midnight ? DAYS : format).format(at);
	});
}

function options(width: number, height: number, onPoint: (i: number | null) => void): uPlot.Options {
	return {
		width,
		height,
		legend: { show: false },
		cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
		padding: [12, 8, 0, 0],
		scales: { y: { range: (_u, _min, max) => [0, Math.max(max * 1.1, 1000)] } },
		axes: [
			axis({ space: 84, size: 28, values: (_u, ticks, _i, _space, increment) => timeLabels(ticks, increment) }),
			axis({ size: 78, space: 36, values: (_u, ticks) => ticks.map((t) => (t === 0 ? '0' : rate(t))) }),
		],
		series: [{}, line('tx', 'To devices', true), line('rx', 'From devices', false)],
		hooks: { setCursor: [(u) => onPoint(u.cursor.idx ?? null)] },
	};
}

function Canvas(p: { data: Series; label: string; onPoint: (i: number | null) => void; height: number }) {
	const box = useRef<HTMLDivElement>(null);
	const plot = useRef<uPlot | null>(null);
	const data = useRef(p.data);

	data.current = p.data;
	useEffect(() => {
		const parent = box.current as HTMLDivElement;
		const draw = () => {
			plot.current?.destroy();
			plot.current = new uPlot(options(parent.clientWidth, p.height, p.onPoint), data.current, parent);
		};
		const scheme = matchMedia('(prefers-color-scheme: dark)');
		const size = new ResizeObserver(() =>
			plot.current?.setSize({ width: parent.clientWidth, height: p.height }),
		);

		draw();
		size.observe(parent);
		scheme.addEventListener('change', draw);
		return () => {
			size.disconnect();
			scheme.removeEventListener('change', draw);
			plot.current?.destroy();
			plot.current = null;
		};
	}, [p.height]);
	useEffect(() => plot.current?.setData(p.data), [p.data]);
	return <div ref={box} class="chart" role="img" aria-label={p.label} />;
}

interface Source {
	/** Behind /v1/traffic: "device_id=...", "user_id=..." or nothing. */
	query: string;
	/** What of a round of traffic belongs here. */
	moved: (e: TrafficEvent) => [rx: number, tx: number];
}

function useHistory(range: Range, source: Source) {
	const again = useStore(epoch);
	const [history, setHistory] = useState<History | null>(null);
	const [problem, setProblem] = useState<Problem | null>(null);
	const [tries, retry] = useState(0);
	const [series, setSeries] = useState<Series | null>(null);

	useEffect(() => {
		const gone = new AbortController();
		const now = serverNow() / 1000;
		const from = new Date((now - range.seconds) * 1000).toISOString();
		const query = `from=${from}&step=${range.step}${source.query ? `&${source.query}` : ''}`;

		get<Traffic>(`/v1/traffic?${query}`, gone.signal)
			.then((traffic) => {
				const h = new History(range, serverNow() / 1000);

				h.fill(traffic);
				setHistory(h);
				setSeries(h.series(serverNow() / 1000));
				setProblem(null);
			})
			.catch((e: unknown) => gone.signal.aborted || setProblem(asProblem(e)));
		return () => gone.abort();
	}, [range, source.query, again, tries]);

	useEffect(() => {
		if (!history)
			return;
		return pulse.watch(() => {
			const now = latest ? Date.parse(latest.at) / 1000 : serverNow() / 1000;

			if (latest)
				history.add(now, ...source.moved(latest));
			setSeries(history.series(now));
		});
	}, [history]);
	const shown = history?.range === range ? history : null;

	return { history: shown, series: shown ? series : null, problem, again: () => retry(tries + 1) };
}

/** Of the figures of a row, the one at i, or the latest that is known before it. */
function figureAt(list: (number | null)[], i: number): number {
	while (i > 0 && list[i] === null)
		i--;
	return list[i] ?? 0;
}

function Readout(p: { series: Series; point: number | null; range: Range; total: { rx: number; tx: number } }) {
	const [at, tx, rx] = p.series;
	const i = p.point !== null && p.point < at.length ? p.point : at.length - 1;
	const when = (at[i] ?? 0) * 1000;
	const whenText = p.range.seconds <= 86400 ? clockTime(when) : shortTime(new Date(when).toISOString());

	return (
		<p class="readout">
			<span class="key tx">
				To devices <strong>{rate(figureAt(tx, i))}</strong>
			</span>
			<span class="key rx">
				From devices <strong>{rate(figureAt(rx, i))}</strong>
			</span>
			<span class="soft">
				{p.point === null
					? `${bytes(p.total.tx)} to, ${bytes(p.total.rx)} from in this range`
					: whenText}
			</span>
		</p>
	);
}

function summary(series: Series, range: Range): string {
	const [, tx, rx] = series;
	const most = (list: (number | null)[]) => rate(list.reduce<number>((a, b) => Math.max(a, b ?? 0), 0));
	const now = (list: (number | null)[]) => rate(figureAt(list, list.length - 1));

	return (
		`Throughput, ${range.title}. To devices now ${now(tx)}, at most ${most(tx)}. ` +
		`From devices now ${now(rx)}, at most ${most(rx)}.`
	);
}

function Ranges(p: { range: Range; onRange: (r: Range) => void }) {
	return (
		<div class="segments" role="group" aria-label="Range">
			{RANGES.map((r) => (
				<button key={r.key} type="button" aria-pressed={r === p.range} onClick={() => p.onRange(r)}>
					{r.title}
				</button>
			))}
		</div>
	);
}

const HEIGHT = 210;

export function HistoryPanel(p: { source: Source; range: Range; onRange: (r: Range) => void; class?: string }) {
	const { history, series, problem, again } = useHistory(p.range, p.source);
	const [point, setPoint] = useState<number | null>(null);

	return (
		<Panel title="Throughput" class={p.class ?? ''} action={<Ranges range={p.range} onRange={p.onRange} />}>
			<div class="history">
				{series && history ? (
					<Readout series={series} point={point} range={p.range} total={history.total()} />
				) : (
					<p class="readout soft">{problem ? '' : 'Loading…'}</p>
				)}
				{problem && (
					<>
						<ProblemNote problem={problem} />
						<p>
							<Button onClick={again}>Try again</Button>
						</p>
					</>
				)}
				{series ? (
					<Canvas data={series} label={summary(series, p.range)} onPoint={setPoint} height={HEIGHT} />
				) : (
					!problem && <div class="chart" style={{ height: `${HEIGHT}px` }} />
				)}
			</div>
		</Panel>
	);
}
