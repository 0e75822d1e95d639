/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* commands.c - one row per command. See commands.h. */
#include "cli/commands.h"

#include <string.h>

#include "base/units.h"

/* clang-format off */
#define FLAG_JSON    { "json", NULL, "print JSON instead of a table" }
#define FLAG_WAIT(help)    { "wait", NULL, help }
#define FLAG_TIMEOUT(help) { "timeout", "SECONDS", help }

static const struct cli_command commands[] = {
	{ "Starting", "run", "[OPTIONS]", "Start a VM and be its terminal",
	  "Starts one VM in this process. Without --kernel the guest is the embedded one. The "
	  "terminal is the guest's console: Ctrl-A x ends the VM, Ctrl-A h shows the other keys. "
	  "Options come from flags, from --config FILE (vm.json), or both; flags win.\n"
	  "With --detach the VM runs in the background: neap returns when it is up, prints its name, "
	  "and the VM's own messages go to NAME.log beside its control socket, or where --log says.\n"
	  "A program that supervises VMs learns from --ready-fd that one runs, and from --exit-record "
	  "how it ended; what becomes of the program is no matter to the VM.",
	  0, 0, CLI_OPTIONS,
	  { { "config", "FILE", "read a vm.json first" },
	    { "detach", NULL, "run in the background; print the VM's name" },
	    { "log", "FILE", "append the VM's own messages to FILE; the guest's console is then reached "
			     "by neap console only" },
	    { "log-size", "SIZE", "at this size FILE becomes FILE.1, and a new one begins (4M)" },
	    { "log-keep", "N", "how many older ones are kept: FILE.1 to FILE.N (2)" },
	    { "exit-record", "FILE", "write how the VM ended into FILE: a JSON object with exit_code, "
				     "reason, uuid, pid and ended" },
	    { "grant", "SIZE", "hold at most this of the host's memory, and some slack, until "
			       "vm.memory.grant says otherwise; for who divides a host among VMs" },
	    { "ready-fd", "N", "write into this open file once: \"+\" when the VM runs and its socket "
			       "answers, or the sentence that says why it could not start" } },
	  cli_run },
	{ NULL, "create", "[OPTIONS]", "Store a VM with neapd",
	  "neapd keeps the VM's configuration from now on; neap start starts it, neap set changes it, "
	  "neap delete forgets it. Options are those of neap run. Labels are for --selector. A VM that "
	  "ends by itself is started again as --restart says: never, on-failure (it crashed, or its "
	  "process did) or always; with pauses that grow.",
	  0, 0, CLI_OPTIONS | CLI_LABELS | CLI_HOST,
	  { { "config", "FILE", "read a vm.json first" },
	    { "autostart", NULL, "start it when neapd starts on a freshly booted host" },
	    { "restart", "never|on-failure|always", "what is done when it ends by itself (never)" },
	    { "start", NULL, "start it now" },
	    FLAG_WAIT("with --start: when the host has no memory for it, wait until it has"),
	    FLAG_JSON },
	  cli_create },
	{ NULL, "start", "NAME | --selector SELECTOR", "Start VMs that neapd stores",
	  "Returns when they run. A VM whose memory the host cannot grant is refused, with the numbers; "
	  "with --wait its start waits until there is enough.",
	  1, 1, CLI_HOST | CLI_SELECTOR,
	  { FLAG_WAIT("when the host has no memory for it, wait until it has"),
	    FLAG_TIMEOUT("how long to wait for it to run (120; with --wait as long as it takes)"),
	    FLAG_JSON },
	  cli_start, { CLI_WORD_VM } },
	{ NULL, "delete", "NAME | --selector SELECTOR", "Forget VMs that neapd stores",
	  "Their configuration is gone then. A VM that runs is refused: neap stop or neap kill comes first.",
	  1, 1, CLI_HOST | CLI_SELECTOR, { FLAG_JSON }, cli_delete, { CLI_WORD_VM } },
	{ NULL, "demo", "", "Watch guests' memory go back to the host, and from one to another",
	  "Starts the embedded guest of 256 MiB on 2 MiB pages, lets it fill its memory, takes most of "
	  "it away and gives it back, and checks every byte the guest wrote and every page the host "
	  "got back. Then two guests share a pool that is too small for both: their policies move memory "
	  "from the one whose need falls to the one whose need rises. Draws all of it; in a pipe it "
	  "prints lines. Takes about eighty seconds, with --short ten. Without enough free huge pages "
	  "root borrows them for the time, and others see it on 4 KiB pages.",
	  0, 0, 0, { { "pages", "2M|4K", "the host pages behind the guests (2M where possible)" },
	    { "short", NULL, "only the balloon of one guest" },
	    { "share", NULL, "only the two guests that share a pool" } },
	  cli_demo },
	{ NULL, "doctor", "", "Say what this host can do for VMs, and what to do about the rest",
	  "Looks at KVM (and how fast guest ring 0 really is), huge pages, userfaultfd, limits and "
	  "memory. Each line is a finding: ok, warn (works, with a drawback) or missing. Ends with 3 "
	  "if anything that neap cannot do without is missing.",
	  0, 0, 0, { FLAG_JSON }, cli_doctor },

	{ "Looking", "ps", "", "List your VMs",
	  "A VM whose process does not answer within a second is shown as \"not answering\"; one "
	  "that ended without cleaning up as \"left over\".\n"
	  "With neapd: also those that it keeps and that do not run, with their labels and how often "
	  "they were started again.",
	  0, 0, CLI_HOST | CLI_SELECTOR, { FLAG_JSON }, cli_ps },
	{ NULL, "top", "", "Watch the memory of all your VMs",
	  "A row for each VM, once a second: what it needs (DEMAND), what it has (ASSIGNED), between "
	  "which bounds (MINIMUM, MAXIMUM), demand in percent of what it has (PRESSURE), what lies in "
	  "swap, and how long its vCPUs waited for memory in each second (STALL/S). Status is OK when "
	  "demand and buffer are met, Low when only demand is, Warning when it is not. The bar shows "
	  "all of it to scale.\n"
	  "Keys: n d a p sort by name, demand, assigned, pressure; r turns the order round; s scales "
	  "each bar by its own maximum; m b w o change minimum, buffer, weight and mode of the "
	  "selected VM; q leaves. In a pipe, and with --once, it prints the table once.",
	  0, 0, CLI_HOST, { { "once", NULL, "print the table once" }, FLAG_JSON }, cli_top },
	{ NULL, "info", "NAME", "Show one VM: state, memory, statistics, devices",
	  "Memory is five numbers: what the guest is asked to hand over, what it has handed over "
	  "(taken), what the host really got back of that (returned), what the VM holds of the host "
	  "now (resident), and all its RAM (maximum). Below them: in which states its blocks are, what "
	  "went to swap and came back, how long vCPUs waited for memory, and how much of it the guest "
	  "really uses.",
	  1, 1, CLI_HOST, { FLAG_JSON }, cli_info, { CLI_WORD_VM } },
	{ NULL, "why", "NAME", "Say why a VM has the memory it has",
	  "The policy's last decision in words: what it was made from, which rule bound it, and what "
	  "it waits for. neap-policy(7) explains the rules.",
	  1, 1, CLI_HOST, { FLAG_JSON }, cli_why, { CLI_WORD_VM } },
	{ NULL, "events", "[NAME | --all] [KIND...]", "Follow what happens to a VM, or to all",
	  "Prints one line per event until the VM ends. KIND limits it to kinds such as vm.state or "
	  "memory.balloon.\n"
	  "With neapd: --all follows every VM and the host. When neapd is started anew it goes on where "
	  "it was, and says how many events were missed, if any. --after N begins with those that neapd "
	  "still keeps of the events after number N; --after 0 with all of them.",
	  0, CLI_ARGS_MAX, CLI_HOST,
	  { { "all", NULL, "every VM, and the host" },
	    { "after", "N", "first the events kept that have a greater number" },
	    { "json", NULL, "print one JSON object per line" } },
	  cli_events, { CLI_WORD_VM, CLI_WORD_KIND } },
	{ NULL, "logs", "NAME", "Show what a VM's process said",
	  "The end of the VM's log. neapd keeps one for each VM; a VM started with neap run --detach has one beside its control "
	  "socket.",
	  1, 1, CLI_HOST,
	  { { "lines", "N", "how many lines at most (100)" },
	    { "follow", NULL, "go on with new lines as they come, until Ctrl-C", 'f' }, FLAG_JSON },
	  cli_logs, { CLI_WORD_VM } },
	{ NULL, "host", "", "Show what memory the host has for guests, and who holds it",
	  "Of each pool: how much is free, in use by VMs, promised to them and not used yet, and taken "
	  "by others; its state (clear, soft, hard or low: neap-policy(7)); and what each VM holds, "
	  "wants and was granted. VMs whose start waits for memory come last. neap-host(1) explains how "
	  "to read it. Needs neapd.",
	  0, 0, CLI_HOST, { FLAG_JSON }, cli_host },
	{ NULL, "trace", "NAME|FILE", "Follow a VM's policy, or read a trace file",
	  "Of a VM: prints the policy's decisions with all they were made from as lines of CSV, first "
	  "those of the last minutes, then each as it is made, until the VM ends.\n"
	  "Of a file that neap run --policy-trace FILE wrote: how often which rule bound the policy, and "
	  "how much memory moved. neap sim repeats such a file.\n"
	  "Of a file that neap run --trace FILE wrote: counts the moves of guest memory between its "
	  "states: how often, by which part of neap, and "
	  "how long blocks had stayed in the state they left (STAYED: half of them at most P50, 99 of "
	  "100 at most P99). FILE is a ring of the newest million moves "
	  "and may be read while the VM runs, or after its process was killed.",
	  1, 1, CLI_HOST, { { "once", NULL, "of a VM: print what it still knows, and end" },
	  { "list", NULL, "of --trace: print the moves themselves, one a line, oldest first" },
	  FLAG_JSON }, cli_trace, { CLI_WORD_VM_OR_FILE } },
	{ NULL, "console", "NAME", "Be the terminal of a running VM",
	  "Ctrl-A x leaves the console; the VM goes on. Ctrl-A h shows the other keys. In a pipe, "
	  "standard input goes to the guest; when it ends, neap leaves once the guest has been silent "
	  "for a second.",
	  1, 1, CLI_HOST,
	  { { "follow", NULL, "stay until the VM ends, also when standard input has ended" } },
	  cli_console, { CLI_WORD_VM } },

	{ "Changing", "set", "NAME memory=SIZE | balloon=SIZE | KEY=VALUE...",
	  "Give a VM more or less memory, or change what it is",
	  "memory=SIZE is what the guest keeps, balloon=SIZE what it hands over: two ways to say the "
	  "same. The guest is asked, not forced. The VM is in mode manual from then on; memory.mode=auto "
	  "gives it back to the policy.\n"
	  "memory.minimum=SIZE, memory.buffer=PERCENT, memory.weight=N and memory.mode=auto|manual|off "
	  "are the options of those names (see neap help run). Several may be given: all are done or "
	  "none.\n"
	  "Of a VM that neapd keeps, any option may be set: what can change while the VM runs holds at "
	  "once, and all of it at the next start; neap says which is which. So may label.KEY=VALUE, "
	  "autostart=on|off and restart=never|on-failure|always. An empty value (boot.kernel=) removes "
	  "a label, and gives an option its default back. memory= and balloon= move the balloon of "
	  "a VM that runs, and are not kept; how much RAM it has is memory.maximum.\n"
	  "memory.limit=SIZE is the most that the VM may hold of the host's memory, whatever the guest "
	  "does: what is above goes to swap. 0 is no limit. It needs a VM with --swap.\n"
	  "Sizes are like 512M or 2G. --wait shows how far the guest or the swapper has come until it "
	  "is done.",
	  2, CLI_ARGS_MAX, CLI_HOST | CLI_SELECTOR,
	  { FLAG_WAIT("wait until it is done, and show the progress"),
	    FLAG_TIMEOUT("how long --wait waits (30)"), FLAG_JSON },
	  cli_set, { CLI_WORD_VM, CLI_WORD_SETTING } },
	{ NULL, "pause", "NAME | --selector SELECTOR", "Stop a VM's vCPUs; its memory stays",
	  "Returns when no vCPU runs any more.", 1, 1, CLI_HOST | CLI_SELECTOR, { FLAG_JSON }, cli_pause, { CLI_WORD_VM } },
	{ NULL, "resume", "NAME | --selector SELECTOR", "Let a paused VM go on", "", 1, 1, CLI_HOST | CLI_SELECTOR, { FLAG_JSON },
	  cli_resume, { CLI_WORD_VM } },
	{ NULL, "reset", "NAME | --selector SELECTOR", "Press the reset button",
	  "The guest's memory goes back to the host and it boots again. What it had not written is "
	  "lost.",
	  1, 1, CLI_HOST | CLI_SELECTOR, { FLAG_JSON }, cli_reset, { CLI_WORD_VM } },
	{ NULL, "stop", "NAME | --selector SELECTOR", "Press the power button",
	  "The guest decides when it is off. A guest that ignores the button goes on; neap kill ends "
	  "it.",
	  1, 1, CLI_HOST | CLI_SELECTOR,
	  { FLAG_WAIT("wait until the VM has ended"), FLAG_TIMEOUT("how long --wait waits (60)"),
	    FLAG_JSON },
	  cli_stop, { CLI_WORD_VM } },
	{ NULL, "kill", "NAME | --selector SELECTOR", "End a VM at once",
	  "What the guest had not written is lost. A VM that does not answer is ended by a signal.",
	  1, 1, CLI_HOST | CLI_SELECTOR, { FLAG_JSON }, cli_kill, { CLI_WORD_VM } },

	{ "Trying out", "sim", "TRACE... | --fleet SPEC", "Replay or try out dynamic memory",
	  "With TRACE files, which neap run --policy-trace writes: decides again, with the same code, "
	  "and says whether each decision is what it was. A file that goes on where another ends comes "
	  "after it: neap sim FILE.1 FILE. With --set also what would have been "
	  "different; then a model of a guest answers instead of the recorded one, and the output says "
	  "so.\n"
	  "With --fleet: runs many VMs on one pool, tick by tick, by neap's policy, by two rules in the "
	  "manner of others, and with each VM at its maximum, all on the same demand; and searches how "
	  "many VMs fit with at most 1 % of their time below demand. SPEC is a file (docs/POLICY.md "
	  "explains it) or one of staggered, simultaneous, office, mixed, thousands, example.",
	  0, CLI_ARGS_MAX, 0,
	  { { "fleet", "SPEC", "run a fleet" },
	    { "set", "KEY=VALUE,...", "with other settings: memory.minimum=1G, or a fleet's pool=32G" },
	    { "chart", "FILE", "draw it as SVG" },
	    { "trace", "FILE", "with --fleet: write the ticks of one VM as a trace" },
	    { "brief", NULL, "do not search how many VMs fit" },
	    FLAG_JSON },
	  cli_sim, { CLI_WORD_FILE, CLI_WORD_FILE } },

	{ "This program", "completion", "SHELL", "Print what makes a shell complete neap's words",
	  "SHELL is bash, zsh or fish. For bash: source <(neap completion bash), in ~/.bashrc. For zsh: "
	  "neap completion zsh > _neap, in a directory of $fpath. For fish: neap completion fish | source. "
	  "Commands, flags, options, their values and the names of your VMs are completed; neap itself is "
	  "asked (neap completion words), so it is always right for the neap that is installed.",
	  1, CLI_ARGS_MAX, CLI_HOST, { { NULL } }, cli_completion, { CLI_WORD_SHELL } },
	{ NULL, "version", "", "Say which neap this is", "", 0, 0, 0, { FLAG_JSON },
	  cli_version },
	{ NULL, "help", "[COMMAND]", "Explain neap, or one command", "", 0, 1, 0, { { NULL } },
	  cli_help, { CLI_WORD_COMMAND } },
};
/* clang-format on */

const struct cli_command *cli_commands(unsigned *ret_count)
{
	*ret_count = ARRAY_LEN(commands);
	return commands;
}

const struct cli_command *cli_find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}
