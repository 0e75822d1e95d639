/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* balloon_styles.c - the table of ways to choose pages. See balloon.h. */
#include "balloon.h"
#include "text.h"

static const struct {
	const char *name, *help;
} styles[] = {
#define BALLOON_STYLE(id, name, help) { name, help },
	BALLOON_STYLES(BALLOON_STYLE)
#undef BALLOON_STYLE
};
enum { STYLE_COUNT = sizeof(styles) / sizeof(styles[0]) };

bool balloon_style_describe(unsigned nth, const char **ret_name, const char **ret_help)
{
	if (nth >= STYLE_COUNT)
		return false;
	*ret_name = styles[nth].name;
	*ret_help = styles[nth].help;
	return true;
}

const char *balloon_style_name(enum balloon_style style)
{
	return styles[style].name;
}

bool balloon_style_by_name(const char *name, enum balloon_style *ret_style)
{
	for (unsigned i = 0; i < STYLE_COUNT; i++) {
		if (!text_equal(name, styles[i].name))
			continue;
		*ret_style = (enum balloon_style)i;
		return true;
	}
	return false;
}
