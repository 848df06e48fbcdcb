#pragma once
// For prebuilt addons (-include): asks for the oldest versions of what glibc 2.27 to 2.34 gave new ones, so
// that what is built here loads there. The behaviour of the old ones is the same for what the addon does with
// them.
#if defined(__linux__)
#include <features.h>
#if defined(__GLIBC__)
#if defined(__x86_64__)
#define SIDETONE_OLDEST "2.2.5"
#elif defined(__aarch64__)
#define SIDETONE_OLDEST "2.17"
#endif
#ifdef SIDETONE_OLDEST
__asm__(".symver dlopen,dlopen@GLIBC_" SIDETONE_OLDEST);
__asm__(".symver dlsym,dlsym@GLIBC_" SIDETONE_OLDEST);
__asm__(".symver dlclose,dlclose@GLIBC_" SIDETONE_OLDEST);
__asm__(".symver dlerror,dlerror@GLIBC_" SIDETONE_OLDEST);
__asm__(".symver pthread_once,pthread_once@GLIBC_" SIDETONE_OLDEST);
__asm__(".symver pow,pow@GLIBC_" SIDETONE_OLDEST);
__asm__(".symver exp,exp@GLIBC_" SIDETONE_OLDEST);
__asm__(".symver log,log@GLIBC_" SIDETONE_OLDEST);
__asm__(".symver log2,log2@GLIBC_" SIDETONE_OLDEST);
__asm__(".symver expf,expf@GLIBC_" SIDETONE_OLDEST);
#endif
#endif
#endif
