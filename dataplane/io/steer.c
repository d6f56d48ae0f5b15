/*
 * A program of some instructions for the kernel, written out here: there is no compiler for it to
 * depend on. The kernel takes its result modulo the number of queues.
 *
 * The destination of what is read from the device is a peer's tunnel address, so what goes to one
 * of a peer's addresses is sealed by one worker, in its order.
 */
#include "io/steer.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef TUNSETSTEERINGEBPF
#define TUNSETSTEERINGEBPF _IOR('T', 224, int)
#endif

enum { V4_DST = 16, V6_DST_END = 36, V6 = 6 };

#define INSN(c, d, s, o, i) {.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)}
/* Into r0, in the host's order. r6 is the packet; one that is too short ends the program with 0. */
#define LOAD(width, at) INSN(BPF_LD | BPF_ABS | (width), 0, 0, 0, at)

/* The last word of the address: what neighbours differ in. */
static const struct bpf_insn program[] = {
	INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
	LOAD(BPF_B, 0),
	INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_0, 0, 0, 4),
	INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, V6),
	LOAD(BPF_W, V4_DST),
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	LOAD(BPF_W, V6_DST_END),
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

static int load(void)
{
	static const char licence[] = "Apache-2.0";
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	a.insns = (uint64_t)(uintptr_t)program;
	a.insn_cnt = ARRAY_SIZE(program);
	a.license = (uint64_t)(uintptr_t)licence;
	const long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
	return fd < 0 ? -errno : (int)fd;
}

int steer_by_destination(int fd)
{
	int program_fd = load(), r = 0;

	if (program_fd < 0)
		return program_fd;
	if (ioctl(fd, TUNSETSTEERINGEBPF, &program_fd) != 0)
		r = -errno;
	close(program_fd); /* the device keeps it */
	return r;
}
