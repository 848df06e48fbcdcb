// What newer versions of libstdc++ and glibc export and this addon would ask of them. Hidden, so that nobody
// else's calls come here.
#include <new>

// glibc 2.32: whether the process has one thread. "No" is always right.
extern "C" {
extern char __libc_single_threaded;
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}

// libstdc++ of GCC 11.
namespace std {
[[noreturn]] __attribute__((visibility("hidden"))) void __throw_bad_array_new_length();
void __throw_bad_array_new_length() { throw std::bad_array_new_length(); }
}  // namespace std
