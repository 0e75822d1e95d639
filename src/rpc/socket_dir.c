/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* socket_dir.c - where the sockets of this user's VMs and daemon are. See rpc.h.
 *
 * Whoever can enter the directory can reach every VM in it, so its owner and mode are checked each
 * time and never repaired: a directory that somebody else prepared is refused, not adopted.
 */
#include "rpc/rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int format_path(char *ret_path, size_t path_bytes, struct err *err, const char *base,
		       const char *tail)
{
	int len = snprintf(ret_path, path_bytes, "%s/%s", base, tail);

	if (len < 0 || (size_t)len >= path_bytes)
		return err_set(err, -ENAMETOOLONG, "%s/%s: the path is too long", base, tail);
	return 0;
}

static const char *base_dir(struct err *err)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (base && base[0] == '/')
		return base;
	if (geteuid() == 0)
		return "/run";
	(void)err_set(err, -ENOENT,
		      "XDG_RUNTIME_DIR is not set to an absolute path; set it to a directory of "
		      "yours, such as /run/user/%u",
		      geteuid());
	return NULL;
}

/* @forbidden: mode bits that it must not have. */
static int check_dir(const char *path, mode_t forbidden, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return err_set(err, -errno, "%s: %m", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s is not a directory; remove it", path);
	if (st.st_uid != geteuid())
		return err_set(err, -EPERM, "%s belongs to user %u, not to you; remove it", path,
			       st.st_uid);
	if (st.st_mode & forbidden)
		return err_set(err, -EPERM, "%s is open to others (mode %03o); run: chmod %03o %s",
			       path, st.st_mode & 0777, 0777 & ~forbidden, path);
	return 0;
}

static int make_dir(const char *leaf, mode_t mode, const char *what, char *ret_path,
		    size_t path_bytes, struct err *err)
{
	const char *base = base_dir(err);
	int ret;

	if (!base)
		return -ENOENT;
	ret = format_path(ret_path, path_bytes, err, base, leaf);
	if (ret < 0)
		return ret;
	if (mkdir(ret_path, mode) < 0 && errno != EEXIST)
		return err_set(err, -errno, "the directory of %s, %s: %m", what, ret_path);
	return 0;
}

int rpc_runtime_dir(char *ret_path, size_t path_bytes, struct err *err)
{
	int ret = make_dir("neap", 0700, "control sockets", ret_path, path_bytes, err);

	return ret < 0 ? ret : check_dir(ret_path, S_IRWXG | S_IRWXO, err);
}

int rpc_host_dir(char *ret_path, size_t path_bytes, struct err *err)
{
	int ret = make_dir("neapd", 0755, "the daemon's sockets", ret_path, path_bytes, err);

	return ret < 0 ? ret : check_dir(ret_path, S_IWGRP | S_IWOTH, err);
}

int rpc_host_path(const char *leaf, char ret_path[RPC_PATH_BYTES], struct err *err)
{
	const char *base = base_dir(err);
	char tail[RPC_PATH_BYTES];

	if (!base)
		return -ENOENT;
	(void)snprintf(tail, sizeof(tail), "neapd/%s", leaf);
	return format_path(ret_path, RPC_PATH_BYTES, err, base, tail);
}

int rpc_vm_path(const char *vm_name, const char *suffix, char ret_path[RPC_PATH_BYTES],
		struct err *err)
{
	char dir[RPC_PATH_BYTES];
	char leaf[RPC_PATH_BYTES];
	int ret;

	if (vm_name[0] == '\0' || vm_name[0] == '.' || strchr(vm_name, '/'))
		return err_set(err, -EINVAL, "\"%.64s\" cannot be the name of a VM", vm_name);
	if ((size_t)snprintf(leaf, sizeof(leaf), "%s%s", vm_name, suffix) >= sizeof(leaf))
		return err_set(err, -ENAMETOOLONG, "the name \"%.64s\" is too long", vm_name);
	ret = rpc_runtime_dir(dir, sizeof(dir), err);
	if (ret < 0)
		return ret;
	return format_path(ret_path, RPC_PATH_BYTES, err, dir, leaf);
}
