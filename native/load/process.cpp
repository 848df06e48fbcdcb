#include "load/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace sidetone::load {

CpuTime threadCpu() {
#ifdef RUSAGE_THREAD
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto us = [](const timeval& time) { return int64_t{time.tv_sec} * 1'000'000 + time.tv_usec; };
  return {us(usage.ru_utime), us(usage.ru_stime)};
#else
  return {};
#endif
}

bool processUse(int pid, ProcessUse& use) {
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  std::FILE* file = std::fopen(path, "r");
  if (file == nullptr) return false;
  char text[1024];
  const size_t length = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[length] = '\0';

  // The command's name may hold anything, so counting starts behind its last bracket: state is field 3, utime
  // and stime are 14 and 15, rss (in pages) is 24, proc(5).
  const char* rest = std::strrchr(text, ')');
  if (rest == nullptr) return false;
  unsigned long userTicks = 0, kernelTicks = 0;
  long pages = 0;
  const int found = std::sscanf(rest + 1,
                                " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu"
                                " %*d %*d %*d %*d %*d %*d %*u %*u %ld",
                                &userTicks, &kernelTicks, &pages);
  if (found != 3) return false;
  const int64_t usPerTick = 1'000'000 / sysconf(_SC_CLK_TCK);
  use.cpu = {static_cast<int64_t>(userTicks) * usPerTick, static_cast<int64_t>(kernelTicks) * usPerTick};
  use.rssBytes = int64_t{pages} * sysconf(_SC_PAGESIZE);
  return true;
}

}  // namespace sidetone::load
