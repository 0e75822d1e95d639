// SPDX-License-Identifier: BSD-2-Clause-Patent
// store.js - what the server told (src/host/page_reader.h): tracks of pools and VMs, by step.
"use strict";

// The columns of a track: src/host/page.h.
const VM = { MINIMUM: 0, DEMAND: 1, ASSIGNED: 2, MAXIMUM: 3, RESIDENT: 4, SWAPPED: 5, GRANT: 6, STATUS: 7 };
const POOL = { TOTAL: 0, USED: 1, GRANTED: 2, PROMISED: 3, OTHERS: 4, FREE: 5, STATE: 6, WAITING: 7 };
const COLUMNS = 8;
const POOL_STATES = ["clear", "soft", "hard", "low"];
const NOTES_KEPT = 40;

class Track {
	constructor(number, kept) {
		this.number = number;
		this.kept = kept;
		this.info = {};
		this.values = null; // [column][step % kept]; null: none yet
		this.filled = 0;    // the last step with values
		this.first = 0;     // the first
	}

	put(first, columns) {
		if (!this.values) {
			this.values = Array.from({ length: COLUMNS }, () => new Int32Array(this.kept).fill(-1));
			this.first = first;
			this.filled = first - 1;
		}
		this.goOn(first - 1);
		let last = first - 1;
		columns.forEach((runs, column) => {
			let step = first;
			for (let i = 0; i < runs.length; i += 2)
				for (let repeat = runs[i + 1]; repeat > 0; repeat--)
					this.values[column][step++ % this.kept] = runs[i];
			last = step - 1;
		});
		this.filled = Math.max(this.filled, last);
	}

	// What is not told goes on as it was.
	goOn(step) {
		if (!this.values)
			return;
		for (let next = Math.max(this.filled + 1, step - this.kept + 1); next <= step; next++)
			for (const column of this.values)
				column[next % this.kept] = column[this.filled % this.kept];
		this.filled = Math.max(this.filled, step);
	}

	// -1: none
	at(column, step) {
		if (!this.values || step < this.first || step > this.filled || step <= this.filled - this.kept)
			return -1;
		return this.values[column][step % this.kept];
	}
}

class Store {
	constructor() {
		this.clear();
		this.begin = { step_ms: 2000, kept: 300, version: "", host: "" };
	}

	clear() {
		this.tracks = new Map(); // by number
		this.notes = [];
		this.now = 0;
		this.leftOut = 0;
	}

	onBegin(begin) {
		if (begin.from === 0)
			this.clear();
		this.begin = begin;
	}

	onTrack(message) {
		let track = this.tracks.get(message.i);
		if (!track || message.new)
			this.tracks.set(message.i, track = new Track(message.i, this.begin.kept));
		if (message.info)
			track.info = message.info;
		if (message.v)
			track.put(message.s, message.v);
	}

	onGone(message) {
		this.tracks.delete(message.i);
	}

	onNote(note) {
		if (!this.notes.some((each) => each.t === note.t && each.kind === note.kind && each.vm === note.vm))
			this.notes.unshift(note);
		this.notes.length = Math.min(this.notes.length, NOTES_KEPT);
	}

	onNow(message) {
		this.now = message.n;
		this.leftOut = message.left_out;
		for (const track of this.tracks.values())
			track.goOn(this.now);
	}

	of(kind) {
		return [...this.tracks.values()].filter((track) => track.info.kind === kind);
	}
}

// --- what one says of a VM ---------------------------------------------------------------------

function vmRuns(track, step) {
	return track.at(VM.MAXIMUM, step) >= 0;
}

// "bad": it is short now; "low": nearly, or something else is wrong; "off": it does not run.
function vmGrade(track, step) {
	const { state } = track.info;
	if (state === "waiting" || state === "silent" || track.at(VM.STATUS, step) === 2)
		return "bad";
	if (track.at(VM.STATUS, step) === 1 || ["pending", "restarting", "paused"].includes(state))
		return "low";
	return state === "stopped" || !vmRuns(track, step) ? "off" : "good";
}

function vmWord(track, step) {
	const { state } = track.info;
	if (state !== "running")
		return state;
	return ["OK", "Low", "Warning"][Math.max(0, track.at(VM.STATUS, step))];
}

function pressure(track, step) {
	const need = track.at(VM.DEMAND, step), has = track.at(VM.ASSIGNED, step);
	return need >= 0 && has > 0 ? need / has : -1;
}

function sizeText(mib) {
	if (mib < 0)
		return "\u2013";
	if (mib === 0)
		return "0";
	if (mib < 1000)
		return `${mib} MiB`;
	const [value, unit] = mib < 1024 * 1000 ? [mib / 1024, "GiB"] : [mib / 1048576, "TiB"];
	return `${value.toFixed(value < 10 ? 2 : 1).replace(/\.?0+$/, "")} ${unit}`;
}
