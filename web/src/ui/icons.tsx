// Drawn on a grid of 20, in the colour of the text around.
const PATHS = {
	overview: 'M3 11h4l2-7 3 12 2-5h3',
	devices: 'M3 4h14v9H3zM7 17h6M10 13v4',
	users: 'M10 10a3.2 3.2 0 1 0 0-6.400a3.2 3.2 0 0 0 0 6.400M3.500 17c.6-3.600 3.300-5 6.500-5s5.900 1.400 6.500 5',
	audit: 'M5 3h10v14H5zM8 7h4M8 10h4M8 13h2',
	tokens: 'M12.500 11.500a4 4 0 1 0-3.700-2.600L3 14.600V17h2.500v-2H8v-2h1.500l1-1.500zM13.500 6.500h.01',
	settings: 'M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4',
	account: 'M10 2.500a7.500 7.500 0 1 0 0 15a7.500 7.500 0 0 0 0-15M10 11a2.500 2.500 0 1 0 0-5a2.500 2.500 0 0 0 0 5M5 15.500c1-2 3-2.800 5-2.800s4 .8 5 2.800',
	add: 'M10 4v12M4 10h12',
	down: 'M10 4v11M5.500 10.500 10 15l4.500-4.500',
	up: 'M10 16V5M5.500 9.500 10 5l4.500 4.500',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon(p: { name: IconName }) {
	return (
		<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
			<path d={PATHS[p.name]} />
		</svg>
	);
}

/** Boxes, one inside the next. */
export function Logo() {
	return (
		<svg class="logo" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
			<rect x="1.500" y="1.500" width="21" height="21" rx="4" />
			<rect x="6" y="6" width="12" height="12" rx="2" />
			<rect class="core" x="10" y="10" width="4" height="4" rx="1" />
		</svg>
	);
}
