// SPDX-License-Identifier: BSD-2-Clause-Patent
// tide.js - the page: follows /events, and shows what the store has. Everything that comes from a VM is put
// in as text, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const store = new Store();
let cursor = 0;        // the step that is pointed at; 0: none
let pointed = 0;       // the number of the VM that is pointed at in a pool's bar
let detail = 0;        // the number of the VM whose details are open
let dirty = false;
let order = [];        // numbers of VMs as they are shown
let orderedAt = 0;
const tiles = new Map(); // number -> its elements
const pools = new Map();
const seen = new Set();  // numbers of tiles within the window

function make(name, className, text) {
	const element = document.createElement(name);
	if (className)
		element.className = className;
	if (text !== undefined)
		element.textContent = text;
	return element;
}

function setText(element, text) {
	if (element.textContent !== text)
		element.textContent = text;
}

const shownStep = () => cursor || store.now;
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

function timeOf(step) {
	return new Date(Date.now() - (store.now - step) * store.begin.step_ms).toLocaleTimeString();
}

// --- the first look: is anybody short? -----------------------------------------------------------

function verdictOf(vms, allPools) {
	const bad = vms.filter((vm) => vmGrade(vm, store.now) === "bad");
	const low = vms.filter((vm) => vmGrade(vm, store.now) === "low");
	const worst = Math.max(0, ...allPools.map((pool) => pool.at(POOL.STATE, store.now)));
	const pool = allPools.find((each) => each.at(POOL.STATE, store.now) === worst);
	if (bad.length)
		return ["bad", bad.length === 1 ? `${bad[0].info.name} is short of memory.` : `${bad.length} VMs are short of memory.`];
	if (worst >= 2)
		return ["bad", `The pool ${pool.info.name} is ${POOL_STATES[worst] === "hard" ? "very short" : "nearly empty"}.`];
	if (low.length)
		return ["low", `Nobody is short; ${plural(low.length, "VM wants", "VMs want")} a look.`];
	if (worst === 1)
		return ["low", `Nobody is short, but the pool ${pool.info.name} gets low.`];
	return ["", vms.length ? "Nobody is short of memory." : "No virtual machines yet."];
}

function showVerdict(vms, allPools) {
	const [grade, sentence] = verdictOf(vms, allPools);
	const running = vms.filter((vm) => vmRuns(vm, store.now));
	const total = (column) => running.reduce((sum, vm) => sum + Math.max(0, vm.at(column, store.now)), 0);
	$("verdict").className = grade;
	setText($("verdict"), sentence);
	setText($("summary"), vms.length === 0 ? "They appear here when they start." :
		`${running.length === vms.length ? plural(vms.length, "VM runs", "VMs run") : `${running.length} of ${vms.length} VMs run`}; `
		+ `they need ${sizeText(total(VM.DEMAND))} and have ${sizeText(total(VM.ASSIGNED))}.`);
	document.title = grade === "bad" ? `\u25cf ${sentence}` : `neap ${store.begin.host}`;
}

function showShort(vms) {
	const list = vms.filter((vm) => ["bad", "low"].includes(vmGrade(vm, store.now)))
		.sort((a, b) => vmGrade(a, store.now).localeCompare(vmGrade(b, store.now)) || byName(a, b));
	const texts = list.slice(0, 8).map((vm) => [vm, `${vm.info.name} \u00b7 ${vmWord(vm, store.now)}`]);
	const key = texts.map(([vm, text]) => vm.number + text + vmGrade(vm, store.now)).join() + list.length;
	if ($("short").dataset.key === key)
		return;
	$("short").dataset.key = key;
	$("short").replaceChildren(...texts.map(([vm, text]) => {
		const item = make("li"), button = make("button", vmGrade(vm, store.now), text);
		button.type = "button";
		button.addEventListener("click", () => openDetail(vm.number));
		item.append(button);
		return item;
	}), ...list.length > 8 ? [make("li", "", `and ${list.length - 8} more`)] : []);
}

// --- pools ---------------------------------------------------------------------------------------

const POOL_VALUES = [["VMs hold", "used", POOL.USED], ["promised", "promised", POOL.PROMISED],
	["others hold", "others", POOL.OTHERS], ["free", "free", POOL.FREE], ["granted", "granted", POOL.GRANTED]];

function makePool(track) {
	const view = { root: make("article", "pool"), head: make("div", "head"), name: make("h2"), state: make("span", "pill"),
		sum: make("span", "sum"), tide: make("canvas", "tide"), values: make("dl", "values"), who: make("p", "who"),
		holders: make("canvas", "holders"), parts: [], dds: [] };
	view.head.append(view.name, view.state, view.sum);
	for (const [word, kind] of POOL_VALUES) {
		const pair = make("div"), dd = make("dd");
		pair.append(make("dt", kind, word), dd);
		view.values.append(pair);
		view.dds.push(dd);
	}
	view.tide.setAttribute("role", "img");
	view.holders.setAttribute("role", "img");
	view.root.append(view.head, view.tide, view.values, view.who, view.holders);
	followPointer(view.tide, () => view.scale);
	followHolders(view, track);
	$("pools").append(view.root);
	return view;
}

function followHolders(view) {
	const partAt = (event) => {
		const x = event.clientX - view.holders.getBoundingClientRect().left;
		return view.parts.find(([from, to]) => x >= from && x < to);
	};
	view.holders.addEventListener("pointermove", (event) => {
		pointed = (partAt(event) || [0, 0, 0])[2];
		draw();
	});
	view.holders.addEventListener("pointerleave", () => {
		pointed = 0;
		draw();
	});
	view.holders.addEventListener("click", (event) => {
		const part = partAt(event);
		if (part)
			openDetail(part[2]);
	});
}

function holdersOf(track, vms, step) {
	return vms.filter((vm) => vm.info.pool === track.info.name && vm.at(VM.RESIDENT, step) > 0)
		.map((vm) => [vm.number, vm.at(VM.RESIDENT, step), vmGrade(vm, step)])
		.sort((a, b) => b[1] - a[1]);
}

function whoText(track, holders) {
	const name = ([number, mib]) => `${store.tracks.get(number).info.name} ${sizeText(mib)}`;
	const one = holders.find(([number]) => number === pointed);
	if (one)
		return name(one);
	if (!holders.length)
		return "No VM holds 1 MiB of it.";
	return `Who holds it: ${holders.slice(0, 3).map(name).join(", ")}${holders.length > 3 ? ` and ${holders.length - 3} more` : ""}`;
}

function showPool(track, view, vms) {
	const step = shownStep(), total = track.at(POOL.TOTAL, step), state = Math.max(0, track.at(POOL.STATE, step));
	const holders = holdersOf(track, vms, step), waiting = track.at(POOL.WAITING, step);
	setText(view.name, `Pool ${track.info.name}`);
	setText(view.state, POOL_STATES[state]);
	view.state.className = `pill ${["good", "low", "bad", "bad"][state]}`;
	setText(view.sum, `${sizeText(track.at(POOL.FREE, step))} free of ${sizeText(total)}`
		+ (waiting > 0 ? `; ${plural(waiting, "VM waits", "VMs wait")} for room` : ""));
	POOL_VALUES.forEach(([, , column], i) => setText(view.dds[i], sizeText(track.at(column, step))));
	setText(view.who, whoText(track, holders));
	view.scale = drawPool(view.tide, store, track, cursor);
	view.parts = drawHolders(view.holders, Math.max(1, total), Math.max(0, track.at(POOL.OTHERS, step)), holders, pointed);
	view.tide.setAttribute("aria-label", `Pool ${track.info.name} over the last ten minutes; now ${POOL_STATES[state]}: `
		+ POOL_VALUES.map(([word, , column]) => `${word} ${sizeText(track.at(column, step))}`).join(", "));
	view.holders.setAttribute("aria-label", whoText(track, holders));
}

// A pool that nobody uses is not worth a picture, unless it is the only one.
function poolsWorthShowing(vms) {
	const all = store.of("pool").sort((a, b) => a.info.name < b.info.name ? -1 : 1);
	const used = all.filter((pool) => vms.some((vm) => vm.info.pool === pool.info.name) || pool.at(POOL.WAITING, store.now) > 0);
	return used.length ? used : all.slice(0, 1);
}

function showPools(vms) {
	const shown = poolsWorthShowing(vms);
	for (const [number, view] of pools)
		if (!shown.some((pool) => pool.number === number)) {
			view.root.remove();
			pools.delete(number);
		}
	for (const pool of shown) {
		if (!pools.has(pool.number))
			pools.set(pool.number, makePool(pool));
		showPool(pool, pools.get(pool.number), vms);
	}
	return shown;
}

// --- VMs: which, and in which order ---------------------------------------------------------------

const collator = new Intl.Collator(undefined, { numeric: true });
const byName = (a, b) => collator.compare(a.info.name, b.info.name);
const GRADES = ["bad", "low", "good", "off"];

function moved(vm) {
	let least = Infinity, most = 0;
	for (let step = Math.max(1, store.now - store.begin.kept + 1); step <= store.now; step++) {
		const has = vm.at(VM.ASSIGNED, step);
		if (has >= 0) {
			least = Math.min(least, has);
			most = Math.max(most, has);
		}
	}
	return most ? most - least : -1;
}

const SORTS = {
	name: () => 0,
	attention: (vm) => GRADES.indexOf(vmGrade(vm, store.now)),
	held: (vm) => -vm.at(VM.RESIDENT, store.now),
	pressure: (vm) => -pressure(vm, store.now),
	moved: (vm) => -moved(vm),
};

function matches(vm, words) {
	const labels = Object.entries(vm.info.labels || {}).map(([key, value]) => `${key}=${value}`);
	const grade = vmGrade(vm, store.now);
	const texts = [vm.info.name, vm.info.state, vmWord(vm, store.now), grade === "bad" ? "short" : "", vm.info.uuid, ...labels]
		.map((text) => text.toLowerCase());
	return words.every((word) => texts.some((text) => text.includes(word)));
}

// Tiles that change places every two seconds cannot be read: only what is new or short moves at once.
function putInOrder(vms, isAsked) {
	const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
	const shown = vms.filter((vm) => matches(vm, words));
	const rank = SORTS[$("sort").value];
	const isSame = shown.length === order.length && shown.every((vm) => order.includes(vm.number));
	if (isAsked || !isSame || $("sort").value === "attention" || Date.now() - orderedAt > 10000) {
		const keyed = shown.map((vm) => [rank(vm), vm]).sort((a, b) => a[0] - b[0] || byName(a[1], b[1]));
		order = keyed.map(([, vm]) => vm.number);
		orderedAt = Date.now();
	}
	setText($("count"), shown.length === vms.length ? `${vms.length}` : `${shown.length} of ${vms.length}`);
	$("none").hidden = shown.length > 0;
	setText($("none"), vms.length ? "No VM is like that." : "No virtual machines yet.");
}

// --- VMs: tiles -----------------------------------------------------------------------------------

const visible = new IntersectionObserver((entries) => {
	for (const entry of entries)
		seen[entry.isIntersecting ? "add" : "delete"](+entry.target.dataset.number);
	draw();
}, { rootMargin: "120px" });

function makeTile(number) {
	const view = { item: make("li"), button: make("button", "tile"), head: make("div", "head"), name: make("span", "name"),
		pill: make("span", "pill"), canvas: make("canvas"), reason: make("p", "reason"), numbers: make("div", "numbers"),
		has: make("b"), needs: make("b") };
	const has = make("span"), needs = make("span");
	has.append("has ", view.has);
	needs.append("needs ", view.needs);
	view.button.type = "button";
	view.button.tabIndex = -1;
	view.canvas.setAttribute("aria-hidden", "true");
	view.item.dataset.number = number;
	view.head.append(view.name, view.pill);
	view.numbers.append(has, needs);
	view.button.append(view.head, view.canvas, view.reason, view.numbers);
	view.item.append(view.button);
	view.button.addEventListener("click", () => openDetail(number));
	followPointer(view.canvas, () => view.scale);
	visible.observe(view.item);
	return view;
}

function showTile(vm, view) {
	const step = shownStep(), grade = vmGrade(vm, store.now), runs = vmRuns(vm, store.now);
	const word = vmWord(vm, store.now);
	view.button.className = `tile ${grade}`;
	view.pill.className = `pill ${grade}`;
	setText(view.name, vm.info.name);
	setText(view.pill, word);
	view.canvas.hidden = view.numbers.hidden = !runs;
	view.reason.hidden = runs;
	setText(view.reason, vm.info.reason || "");
	setText(view.has, sizeText(vm.at(VM.ASSIGNED, step)));
	setText(view.needs, sizeText(vm.at(VM.DEMAND, step)));
	view.button.setAttribute("aria-label", runs ? `${vm.info.name}: ${word}; needs ${sizeText(vm.at(VM.DEMAND, step))}, has `
		+ `${sizeText(vm.at(VM.ASSIGNED, step))} of ${sizeText(vm.at(VM.MAXIMUM, step))}` : `${vm.info.name}: ${word}`);
	if (runs)
		view.scale = drawVm(view.canvas, store, vm, cursor, false);
}

function showTiles() {
	for (const [number, view] of tiles)
		if (!store.tracks.has(number)) {
			visible.unobserve(view.item);
			view.item.remove();
			tiles.delete(number);
			seen.delete(number);
		}
	const items = order.map((number) => {
		if (!tiles.has(number))
			tiles.set(number, makeTile(number));
		return tiles.get(number).item;
	});
	const list = $("tiles"), focused = document.activeElement;
	if (items.length !== list.children.length || items.some((item, i) => list.children[i] !== item)) {
		list.replaceChildren(...items);
		if (list.contains(focused))
			focused.focus({ preventScroll: true });
	}
	if (items.length && !items.some((item) => item.firstChild.tabIndex === 0))
		items[0].firstChild.tabIndex = 0;
	for (const number of order)
		if (seen.has(number))
			showTile(store.tracks.get(number), tiles.get(number));
}

// --- VMs: as a table --------------------------------------------------------------------------------

function rowOf(vm) {
	const step = shownStep(), row = make("tr", vmGrade(vm, step)), share = pressure(vm, step);
	const name = make("th", "", vm.info.name);
	name.scope = "row";
	row.append(name, make("td", "", vmWord(vm, step)));
	for (const column of [VM.DEMAND, VM.ASSIGNED, VM.MINIMUM, VM.MAXIMUM])
		row.append(make("td", "", sizeText(vm.at(column, step))));
	row.append(make("td", "", share < 0 ? "\u2013" : `${Math.round(share * 100)} %`));
	for (const column of [VM.RESIDENT, VM.SWAPPED, VM.GRANT])
		row.append(make("td", "", sizeText(vm.at(column, step))));
	return row;
}

function showTable() {
	$("rows").replaceChildren(...order.map((number) => rowOf(store.tracks.get(number))));
}

// --- one VM -----------------------------------------------------------------------------------------

const MODES = ["the policy", "by hand", "nobody"];
let detailScale = null;

function openDetail(number) {
	detail = number;
	draw();
	if (!$("detail").open)
		$("detail").showModal();
	draw();
	$("detail-chart").focus();
}

function detailValues(vm, step) {
	const size = (column) => sizeText(vm.at(column, step)), share = pressure(vm, step);
	const labels = Object.entries(vm.info.labels || {}).map(([key, value]) => `${key}=${value}`).join(", ");
	return [["needs", size(VM.DEMAND)], ["has", size(VM.ASSIGNED)], ["minimum", size(VM.MINIMUM)], ["maximum", size(VM.MAXIMUM)],
		["pressure", share < 0 ? "\u2013" : `${Math.round(share * 100)} %`], ["in the host's RAM", size(VM.RESIDENT)],
		["swapped", size(VM.SWAPPED)], ["grant", size(VM.GRANT)], ["weight", vm.info.weight], ["target set by", MODES[vm.info.mode]],
		["pool", vm.info.pool], ["restarts", vm.info.restarts || undefined], ["labels", labels || undefined], ["UUID", vm.info.uuid]]
		.filter(([, value]) => value !== undefined);
}

function showDetail() {
	const vm = store.tracks.get(detail);
	if (!vm) {
		$("detail").close();
		return;
	}
	const step = shownStep();
	setText($("detail-name"), vm.info.name);
	setText($("detail-state"), vmWord(vm, step));
	$("detail-state").className = `pill ${vmGrade(vm, step)}`;
	setText($("detail-reason"), vm.info.reason || "");
	detailScale = drawVm($("detail-chart"), store, vm, cursor, true);
	setText($("detail-when"), cursor ? `at ${timeOf(cursor)}` : "now");
	$("detail-values").replaceChildren(...detailValues(vm, step).map(([word, value]) => {
		const pair = make("div");
		pair.append(make("dt", "", word), make("dd", "", String(value)));
		return pair;
	}));
}

// --- what happened ------------------------------------------------------------------------------------

const SAYINGS = {
	"vm.created": () => "was stored",
	"vm.deleted": () => "was forgotten",
	"vm.started": ({ restarts }) => restarts > 0 ? `runs again (restart ${restarts})` : "runs",
	"vm.adopted": () => "was found running",
	"vm.ended": ({ reason, restart_in_ms: wait }) => `ended: ${reason}${wait !== undefined ? `; starts again in ${Math.round(wait / 100) / 10} s` : ""}`,
	"vm.silent": () => "does not answer",
	"vm.answers": () => "answers again",
	"vm.waits": ({ startup_bytes: bytes }) => `waits for ${sizeText(Math.round(bytes / 1048576))} to start`,
	"vm.reset": ({ cause }) => `was reset (${cause})`,
	"host.pool": ({ pool, state, was }) => `pool ${pool}: ${was} \u2192 ${state}`,
	"memory.status": ({ status, was }) => `memory: ${was} \u2192 ${status}`,
	"memory.unreadable": ({ reason }) => `memory cannot be read back: ${reason}`,
	"memory.readable": () => "memory can be read again",
	"device.broken": ({ device, reason }) => `${device}: ${reason}`,
};
const ALARMS = { "vm.silent": "bad", "vm.ended": "low", "vm.waits": "low", "memory.unreadable": "bad", "device.broken": "low" };
const WANTED_ENDS = [0, 7]; // powered off, killed on request: src/base/exit_codes.def

function noteGrade({ kind, data }) {
	if (kind === "memory.status")
		return { Warning: "bad", Low: "low" }[data.status] || "";
	if (kind === "host.pool")
		return { soft: "low", hard: "bad", low: "bad" }[data.state] || "";
	return kind === "vm.ended" && WANTED_ENDS.includes(data.exit_code) ? "" : ALARMS[kind] || "";
}

function showNotes() {
	$("notes").replaceChildren(...store.notes.map((note) => {
		const item = make("li"), text = make("span", noteGrade(note)), say = SAYINGS[note.kind];
		const time = make("time", "", new Date(note.t).toLocaleTimeString());
		time.dateTime = new Date(note.t).toISOString();
		if (note.vm)
			text.append(make("b", "", note.vm), " ");
		text.append(say ? say(note.data || {}) : note.kind);
		item.append(time, text);
		return item;
	}));
	showMore();
}

// Where there is no room beside the pools, the last three are shown, or all if one asks.
function showMore() {
	const isAll = $("notes").classList.contains("all");
	$("more").hidden = store.notes.length <= 3;
	$("more").setAttribute("aria-expanded", String(isAll));
	setText($("more"), isAll ? "Fewer" : `${store.notes.length - 3} more`);
}

$("more").addEventListener("click", () => {
	$("notes").classList.toggle("all");
	showMore();
});

// --- drawing ------------------------------------------------------------------------------------------

let isAsked = false;

function drawNow() {
	dirty = false;
	if (!store.now)
		return;
	const vms = store.of("vm");
	const shownPools = showPools(vms);
	showVerdict(vms, shownPools);
	showShort(vms);
	putInOrder(vms, isAsked);
	isAsked = false;
	if ($("tablebox").hidden)
		showTiles();
	else
		showTable();
	if ($("detail").open || detail)
		showDetail();
	$("when").hidden = !cursor || $("detail").open;
	if (cursor)
		setText($("when"), timeOf(cursor));
}

function draw() {
	if (!dirty)
		requestAnimationFrame(drawNow);
	dirty = true;
}

// --- pointing at a time ---------------------------------------------------------------------------------

function pointAt(step) {
	const first = Math.max(1, store.now - store.begin.kept + 1);
	cursor = step ? Math.min(store.now, Math.max(first, step)) : 0;
	draw();
}

function followPointer(canvas, scaleOfIt) {
	canvas.addEventListener("pointermove", (event) => {
		const scale = scaleOfIt();
		if (scale)
			pointAt(scale.step(event.clientX - canvas.getBoundingClientRect().left));
	});
	for (const end of ["pointerleave", "pointercancel"])
		canvas.addEventListener(end, () => pointAt(0));
}

followPointer($("detail-chart"), () => detailScale);
$("detail-chart").addEventListener("keydown", (event) => {
	const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -15, PageDown: 15 }[event.key];
	if (by)
		pointAt(shownStep() + by);
	else if (event.key === "Home")
		pointAt(1);
	else if (event.key === "End")
		pointAt(0);
	else
		return;
	event.preventDefault();
});

// --- controls -------------------------------------------------------------------------------------------

function askAgain() {
	isAsked = true;
	draw();
}

$("filter").addEventListener("input", askAgain);
$("sort").addEventListener("change", askAgain);
$("view").addEventListener("click", () => {
	const isTable = $("tablebox").hidden;
	$("tablebox").hidden = !isTable;
	$("tiles").hidden = document.querySelector(".key").hidden = isTable;
	$("view").setAttribute("aria-pressed", String(isTable));
	draw();
});
$("close").addEventListener("click", () => $("detail").close());
$("detail").addEventListener("click", (event) => {
	if (event.target === $("detail"))
		$("detail").close();
});
$("detail").addEventListener("close", () => {
	detail = 0;
	pointAt(0);
});
document.addEventListener("keydown", (event) => {
	if (event.key === "/" && document.activeElement !== $("filter") && !$("detail").open) {
		event.preventDefault();
		$("filter").focus();
	}
});

function focusTile(button) {
	for (const { button: each } of tiles.values())
		each.tabIndex = each === button ? 0 : -1;
	button.focus();
}

// Up and down go by where tiles lie, so by rows however many fit.
$("tiles").addEventListener("keydown", (event) => {
	const all = order.map((number) => tiles.get(number).button), at = all.indexOf(document.activeElement);
	if (at < 0)
		return;
	const top = tiles.get(order[0]).item.offsetTop;
	const perRow = Math.max(1, order.findIndex((number) => tiles.get(number).item.offsetTop !== top));
	const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - perRow, ArrowDown: at + perRow, Home: 0, End: all.length - 1 }[event.key];
	if (to === undefined)
		return;
	event.preventDefault();
	if (all[to])
		focusTile(all[to]);
});
$("tiles").addEventListener("focusin", (event) => {
	for (const { button } of tiles.values())
		button.tabIndex = button === event.target ? 0 : -1;
});

// --- following --------------------------------------------------------------------------------------------

let source = null, lastId = "", heardAt = Date.now(), retry = 0, away = 0;

function setLink(state, text) {
	$("link").className = state;
	setText($("link"), text);
	document.body.classList.toggle("lost", state === "lost");
}

function on(kind, handle) {
	source.addEventListener(kind, (event) => {
		heardAt = Date.now();
		handle(JSON.parse(event.data), event);
	});
}

function connect() {
	clearTimeout(retry);
	if (source)
		source.close();
	source = new EventSource(lastId ? `events?after=${encodeURIComponent(lastId)}` : "events");
	on("begin", (message) => {
		store.onBegin(message);
		setText($("host"), message.host);
		if (message.from === 0)
			showNotes();
	});
	on("track", (message) => store.onTrack(message));
	on("gone", (message) => store.onGone(message));
	on("note", (message) => {
		store.onNote(message);
		showNotes();
	});
	on("now", (message, event) => {
		lastId = event.lastEventId;
		store.onNow(message);
		setLink("live", message.left_out ? `live; ${plural(message.left_out, "VM is", "VMs are")} not shown: too many` : "live");
		draw();
	});
	source.addEventListener("error", () => {
		if (source.readyState === EventSource.CLOSED) // refused: the browser does not try again
			retry = setTimeout(connect, 5000);
	});
}

setInterval(() => {
	const silent = Math.round((Date.now() - heardAt) / 1000);
	if (silent > 3 * store.begin.step_ms / 1000)
		setLink("lost", `nothing heard for ${silent} s; trying again`);
}, 1000);

// A page that nobody looks at does not follow.
document.addEventListener("visibilitychange", () => {
	clearTimeout(away);
	if (document.hidden)
		away = setTimeout(() => {
			source.close();
			clearTimeout(retry);
		}, 30000);
	else if (source.readyState === EventSource.CLOSED)
		connect();
});

const scheme = matchMedia("(prefers-color-scheme: dark)");
scheme.addEventListener("change", () => {
	readColours();
	draw();
});
new ResizeObserver(draw).observe(document.body);
readColours();
connect();
