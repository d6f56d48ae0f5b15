// The last minute of a device in a line of text.
const WIDTH = 96;
const HEIGHT = 22;

export function sparkPath(values: number[], width = WIDTH, height = HEIGHT): string {
	const most = Math.max(...values, 1);
	const step = width / Math.max(values.length - 1, 1);

	return values
		.map((v, i) => `${i ? 'L' : 'M'}${(i * step).toFixed(1)} ${(height - 1 - (v / most) * (height - 2)).toFixed(1)}`)
		.join('');
}

export function Spark(p: { values: number[] | null }) {
	if (!p.values)
		return <span class="spark none" aria-hidden="true" />;
	const line = sparkPath(p.values);

	return (
		<svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
			<path class="area" d={`${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} />
			<path class="line" d={line} />
		</svg>
	);
}
