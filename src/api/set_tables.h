/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* set_tables.h - the rows of SET_VERBS (a .def file) as the tables params[], results[] and verbs[] of the
 * file that includes this. No guard: it is a piece of vm_set.c and of host_set.c.
 *
 * Each verb's parameters are a slice of one flat array, which a row without a name ends; the
 * enumerations give each verb the number of its first row. The same for results. FORWARDED_COUNT and
 * FORWARDED_PARAMS are what stands before the parameters of a forwarded verb.
 */
#define GLUE2(a, b) a##b
#define GLUE(a, b)  GLUE2(a, b)

#define PARAM_ROW(name_, type_, required_, help_) \
	{ .name = (name_), .type = API_##type_, .required = (required_), .help = (help_) },

#define COUNT_OWN
#define COUNT_HOST
#define COUNT_FORWARDED FORWARDED_COUNT
#define FIRST_OWN
#define FIRST_HOST
#define FIRST_FORWARDED FORWARDED_PARAMS

/* The mark that stands before a verb's rows ends those of the verb before it. */
enum {
#define VERB(id, method, states, access, reach, help) PARAMS_OF_##id, COUNT_##reach
#define PARAM(name, type, required, help)	      GLUE(PARAM_NUMBER_, __COUNTER__),
#define RESULT(name, type, help)
#include SET_VERBS
#undef VERB
#undef PARAM
#undef RESULT
};

static const struct api_field params[] = {
#define VERB(id, method, states, access, reach, help) { .name = NULL }, FIRST_##reach
#define PARAM(name, type, required, help)	      PARAM_ROW(#name, type, required, help)
#define RESULT(name, type, help)
#include SET_VERBS
	{ .name = NULL },
#undef VERB
#undef PARAM
#undef RESULT
};

enum {
#define VERB(id, method, states, access, reach, help) RESULTS_OF_##id,
#define PARAM(name, type, required, help)
#define RESULT(name, type, help) GLUE(RESULT_NUMBER_, __COUNTER__),
#include SET_VERBS
#undef VERB
#undef PARAM
#undef RESULT
};

static const struct api_field results[] = {
#define VERB(id, method, states, access, reach, help) { .name = NULL },
#define PARAM(name, type, required, help)
#define RESULT(name_, type_, help_) { .name = #name_, .type = API_##type_, .help = (help_) },
#include SET_VERBS
	{ .name = NULL },
#undef VERB
#undef PARAM
#undef RESULT
};

static const struct api_verb_row verbs[] = {
#define VERB(id, method_, states_, access_, reach_, help_) \
	{ .method = (method_),                             \
	  .states = API_STATES_##states_,                  \
	  .access = API_##access_,                         \
	  .reach = API_##reach_,                           \
	  .params = &params[PARAMS_OF_##id + 1],           \
	  .results = &results[RESULTS_OF_##id + 1],        \
	  .help = (help_) },
#define PARAM(name, type, required, help)
#define RESULT(name, type, help)
#include SET_VERBS
#undef VERB
#undef PARAM
#undef RESULT
};
