// SPDX-License-Identifier: BSD-2-Clause-Patent
// charts.js - the tide as pictures: a pool's layers, who holds it, and a VM. Each draws on a canvas what
// the store has; `cursor` is the step that is pointed at, or 0.
"use strict";

let colours = {};

function readColours() {
	const style = getComputedStyle(document.documentElement);
	for (const name of ["card", "ink", "soft", "line", "water", "deep", "needs", "least", "others", "promised", "swap", "low", "bad"])
		colours[name] = style.getPropertyValue(`--${name}`).trim();
}

// The canvas's context with its size in CSS pixels, cleared.
function prepare(canvas) {
	const width = canvas.clientWidth, height = canvas.clientHeight, ratio = Math.min(3, devicePixelRatio || 1);
	if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
		canvas.width = Math.round(width * ratio);
		canvas.height = Math.round(height * ratio);
	}
	const g = canvas.getContext("2d");
	g.setTransform(ratio, 0, 0, ratio, 0, 0);
	g.clearRect(0, 0, width, height);
	return { g, width, height };
}

// Where steps and sizes lie.
function scaleOf(store, left, right, top, bottom, most) {
	const span = Math.max(1, store.begin.kept - 1), first = store.now - span;
	return {
		first, last: store.now, left, right, top, bottom,
		x: (step) => left + (right - left) * (step - first) / span,
		y: (mib) => bottom - (bottom - top) * Math.min(1, Math.max(0, mib / most)),
		step: (x) => Math.round(first + (x - left) / (right - left) * span),
	};
}

// Stretches of steps for which every column has a value.
function stretches(scale, has) {
	const found = [];
	let begin = 0;
	for (let step = Math.max(1, scale.first); step <= scale.last + 1; step++) {
		const there = step <= scale.last && has(step);
		if (there && !begin)
			begin = step;
		if (!there && begin) {
			found.push([begin, step - 1]);
			begin = 0;
		}
	}
	return found;
}

function line(g, scale, from, to, value) {
	g.moveTo(scale.x(from), scale.y(value(from)));
	for (let step = from + 1; step <= to; step++)
		g.lineTo(scale.x(step), scale.y(value(step)));
	if (from === to)
		g.lineTo(scale.x(from) + 1.5, scale.y(value(from)));
}

function area(g, scale, from, to, low, high) {
	g.beginPath();
	line(g, scale, from, to, high);
	for (let step = to; step >= from; step--)
		g.lineTo(scale.x(step), scale.y(low(step)));
	g.closePath();
}

function stroke(g, colour, width, dash) {
	g.strokeStyle = colour;
	g.lineWidth = width;
	g.setLineDash(dash || []);
	g.stroke();
	g.setLineDash([]);
}

function level(g, scale, mib, colour, dash) {
	const y = Math.round(scale.y(mib)) + 0.5;
	g.beginPath();
	g.moveTo(scale.left, y);
	g.lineTo(scale.right, y);
	stroke(g, colour, 1, dash);
}

function drawCursor(g, scale, cursor) {
	if (cursor < scale.first || cursor > scale.last || !cursor)
		return;
	const x = Math.round(scale.x(cursor)) + 0.5;
	g.beginPath();
	g.moveTo(x, scale.top);
	g.lineTo(x, scale.bottom);
	stroke(g, colours.ink, 1);
}

let hatchOf = null;

function hatch(g) {
	const key = colours.water + colours.promised;
	if (!hatchOf || hatchOf.key !== key) {
		const tile = document.createElement("canvas");
		tile.width = tile.height = 6;
		const t = tile.getContext("2d");
		t.fillStyle = colours.promised;
		t.fillRect(0, 0, 6, 6);
		t.strokeStyle = colours.water;
		t.lineWidth = 1.4;
		for (const shift of [-6, 0, 6]) {
			t.moveTo(shift - 1, 7);
			t.lineTo(shift + 7, -1);
		}
		t.stroke();
		hatchOf = { key, pattern: g.createPattern(tile, "repeat") };
	}
	return hatchOf.pattern;
}

const FONT = "11px system-ui, sans-serif";

// Under the chart: when its left side was, and its middle.
function timeAxis(g, scale, store) {
	const minutes = store.begin.step_ms * (store.begin.kept - 1) / 60000;
	g.font = FONT;
	g.fillStyle = colours.soft;
	g.textBaseline = "top";
	for (const [share, align] of [[0, "left"], [0.5, "center"], [1, "right"]]) {
		const ago = Math.round(minutes * (1 - share));
		g.textAlign = align;
		g.fillText(ago ? `${ago} min ago` : "now", scale.left + (scale.right - scale.left) * share, scale.bottom + 5);
	}
}

function markLabels(g, scale, marks, total) {
	g.font = FONT;
	g.textAlign = "left";
	g.textBaseline = "middle";
	let above = scale.top - 6;
	["low", "hard", "soft"].forEach((name, i) => { // from the top of the pool down
		const mib = total - marks[2 - i];
		level(g, scale, mib, i < 2 ? colours.bad : colours.low, [3, 4]);
		above = Math.max(above + 11, scale.y(mib));
		g.fillStyle = i < 2 ? colours.bad : colours.low;
		g.fillText(name, scale.right + 5, above);
	});
}

// A pool, from the bottom: what others hold, what VMs hold, what is promised to them, what is free.
function drawPool(canvas, store, track, cursor) {
	const { g, width, height } = prepare(canvas);
	const total = Math.max(1, track.at(POOL.TOTAL, store.now));
	const scale = scaleOf(store, 0, width - 32, 8, height - 20, total);
	const at = (column) => (step) => track.at(column, step);
	const others = at(POOL.OTHERS), used = at(POOL.USED), promised = at(POOL.PROMISED), granted = at(POOL.GRANTED);
	const held = (step) => others(step) + used(step);
	g.fillStyle = colours.line;
	g.globalAlpha = 0.35;
	g.fillRect(scale.left, scale.top, scale.right - scale.left, scale.bottom - scale.top);
	g.globalAlpha = 1;
	for (const [from, to] of stretches(scale, (step) => others(step) >= 0)) {
		area(g, scale, from, to, () => 0, others);
		g.fillStyle = colours.others;
		g.fill();
		area(g, scale, from, to, held, (step) => held(step) + promised(step));
		g.fillStyle = hatch(g);
		g.fill();
		area(g, scale, from, to, others, held);
		g.fillStyle = colours.water;
		g.fill();
		g.beginPath();
		line(g, scale, from, to, held);
		stroke(g, colours.deep, 1.5);
		g.beginPath();
		line(g, scale, from, to, (step) => others(step) + granted(step));
		stroke(g, colours.deep, 1.2, [1.5, 3]);
	}
	level(g, scale, total, colours.others);
	markLabels(g, scale, track.info.marks || [0, 0, 0], total);
	timeAxis(g, scale, store);
	drawCursor(g, scale, cursor);
	return scale;
}

// One bar: each VM's part of the pool, the largest first. Returns what lies where.
function drawHolders(canvas, total, others, holders, pointed) {
	const { g, width, height } = prepare(canvas);
	const parts = [];
	let x = 0;
	g.fillStyle = colours.line;
	g.globalAlpha = 0.35;
	g.fillRect(0, 0, width, height);
	g.globalAlpha = 1;
	for (const [number, mib, grade] of holders) {
		const wide = width * mib / total;
		g.fillStyle = grade === "bad" ? colours.bad : grade === "low" ? colours.low : colours.water;
		g.globalAlpha = pointed && pointed !== number ? 0.45 : 1;
		g.fillRect(x, 0, wide > 2.5 ? wide - 1 : wide, height);
		parts.push([x, x + wide, number]);
		x += wide;
	}
	g.globalAlpha = 1;
	g.fillStyle = colours.others;
	g.fillRect(width * (1 - others / total), 0, width * others / total, height);
	return parts;
}

// A VM between nothing and its maximum: what it has, what it needs, its minimum; red is what it lacks.
function drawVm(canvas, store, track, cursor, isLarge) {
	const { g, width, height } = prepare(canvas);
	const most = Math.max(1, track.at(VM.MAXIMUM, store.now), track.at(VM.MAXIMUM, cursor || store.now));
	const scale = isLarge ? scaleOf(store, 0, width - 62, 8, height - 20, most) : scaleOf(store, 0, width, 1, height - 1, most);
	const at = (column) => (step) => track.at(column, step);
	const has = at(VM.ASSIGNED), needs = at(VM.DEMAND), least = at(VM.MINIMUM), swapped = at(VM.SWAPPED);
	level(g, scale, most, colours.others);
	for (const [from, to] of stretches(scale, (step) => has(step) >= 0)) {
		area(g, scale, from, to, () => 0, has);
		g.fillStyle = colours.water;
		g.globalAlpha = 0.8;
		g.fill();
		g.globalAlpha = 1;
		g.beginPath();
		line(g, scale, from, to, least);
		stroke(g, colours.least, 1, [4, 3]);
		if (isLarge && stretches(scale, (step) => swapped(step) > 0).length) {
			g.beginPath();
			line(g, scale, from, to, swapped);
			stroke(g, colours.swap, 1.5);
		}
	}
	for (const [from, to] of stretches(scale, (step) => has(step) >= 0 && needs(step) >= 0)) {
		area(g, scale, from, to, has, (step) => Math.max(has(step), needs(step)));
		g.fillStyle = colours.bad;
		g.fill();
		g.beginPath();
		line(g, scale, from, to, needs);
		stroke(g, colours.needs, isLarge ? 2 : 1.4);
	}
	if (isLarge) {
		timeAxis(g, scale, store);
		vmLabels(g, scale, store, track);
	}
	drawCursor(g, scale, cursor);
	return scale;
}

// At the right side: the names of the levels, apart from each other.
function vmLabels(g, scale, store, track) {
	const labels = [["maximum", VM.MAXIMUM, "soft"], ["has", VM.ASSIGNED, "deep"], ["needs", VM.DEMAND, "needs"],
		["minimum", VM.MINIMUM, "least"], ["swapped", VM.SWAPPED, "swap"]]
		.map(([name, column, colour]) => ({ name, colour, mib: track.at(column, store.now) }))
		.filter(({ mib, name }) => mib >= 0 && (mib > 0 || name !== "swapped"))
		.sort((a, b) => b.mib - a.mib);
	let last = -Infinity;
	g.font = FONT;
	g.textAlign = "left";
	g.textBaseline = "middle";
	for (const label of labels) {
		last = Math.max(last + 12, scale.y(label.mib));
		g.fillStyle = colours[label.colour];
		g.fillText(label.name, scale.right + 6, last);
	}
}
