/* Attributes that the house style asks for; nothing else. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

/* The caller must look at the result. */
#define must_check __attribute__((warn_unused_result))
/* Run fn(&variable) when the variable leaves its scope. */
#define cleanup(fn)	       __attribute__((cleanup(fn)))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define cacheline_aligned      __attribute__((aligned(64)))
/* A large local of the packet path that is written before it is read: builds that zero all locals
 * leave this one out, as it costs more than a small packet. Never for what holds secrets. */
#define written_first __attribute__((uninitialized))

/* For a function that may only be called where has_avx2() says so. */
#ifdef __x86_64__
#define with_avx2  __attribute__((target("avx2")))
#define has_avx2() (__builtin_cpu_supports("avx2") != 0)
#else
#define with_avx2
#define has_avx2() false
#endif
#define forced_inline __attribute__((always_inline)) inline

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
