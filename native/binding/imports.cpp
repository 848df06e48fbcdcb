#include "binding/imports.h"

#include <string>

#if defined(__linux__) && defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <span>
#include <vector>
#define SIDETONE_IMPORTS 1
#endif

namespace sidetone::binding {
namespace {

#ifdef SIDETONE_IMPORTS

#ifdef __x86_64__
constexpr uint32_t kJumpSlot = R_X86_64_JUMP_SLOT;
constexpr uint32_t kGlobalData = R_X86_64_GLOB_DAT;
#else
constexpr uint32_t kJumpSlot = R_AARCH64_JUMP_SLOT;
constexpr uint32_t kGlobalData = R_AARCH64_GLOB_DAT;
#endif

/** realloc() that never returns the place that it was given. */
void* movingRealloc(void* memory, size_t bytes) {
  if (memory == nullptr || bytes == 0) return std::realloc(memory, bytes);
  void* const moved = std::malloc(bytes);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, memory, std::min(bytes, malloc_usable_size(memory)));
  std::free(memory);
  return moved;
}

/** The dynamic section of a loaded library (System V ABI, chapter 5). */
struct Dynamic {
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  std::span<const ElfW(Rela)> calls;
  std::span<const ElfW(Rela)> data;
};

Dynamic dynamicOf(const dl_phdr_info& library, const ElfW(Dyn) * entries) {
  // glibc has made addresses of these; other loaders leave offsets.
  const auto at = [&](ElfW(Addr) value) {
    return reinterpret_cast<const void*>(value < library.dlpi_addr ? library.dlpi_addr + value : value);
  };
  Dynamic dynamic;
  const ElfW(Rela)* calls = nullptr;
  const ElfW(Rela)* data = nullptr;
  size_t callBytes = 0;
  size_t dataBytes = 0;
  for (const auto* entry = entries; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_SYMTAB) dynamic.symbols = static_cast<const ElfW(Sym)*>(at(entry->d_un.d_ptr));
    if (entry->d_tag == DT_STRTAB) dynamic.names = static_cast<const char*>(at(entry->d_un.d_ptr));
    if (entry->d_tag == DT_JMPREL) calls = static_cast<const ElfW(Rela)*>(at(entry->d_un.d_ptr));
    if (entry->d_tag == DT_RELA) data = static_cast<const ElfW(Rela)*>(at(entry->d_un.d_ptr));
    if (entry->d_tag == DT_PLTRELSZ) callBytes = entry->d_un.d_val;
    if (entry->d_tag == DT_RELASZ) dataBytes = entry->d_un.d_val;
  }
  if (calls != nullptr) dynamic.calls = {calls, callBytes / sizeof *calls};
  if (data != nullptr) dynamic.data = {data, dataBytes / sizeof *data};
  return dynamic;
}

/** Whether the library itself, not one that it needs, exports `name`. */
bool exportsSymbol(const dl_phdr_info& library, const std::string& name) {
  void* const handle = dlopen(library.dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return false;
  Dl_info found{};
  void* const symbol = dlsym(handle, name.c_str());
  const bool isIts = symbol != nullptr && dladdr(symbol, &found) != 0 &&
                     reinterpret_cast<ElfW(Addr)>(found.dli_fbase) == library.dlpi_addr;
  dlclose(handle);
  return isIts;
}

/** Writes `function` into a slot of the import table, which may be read-only by now (PT_GNU_RELRO). */
bool redirect(void** slot, void* function, const dl_phdr_info& library) {
  const auto address = reinterpret_cast<uintptr_t>(slot);
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  void* const from = reinterpret_cast<void*>(address & ~(page - 1));
  bool isReadOnly = false;
  for (int i = 0; i < library.dlpi_phnum; ++i) {
    const auto& header = library.dlpi_phdr[i];
    const auto start = (library.dlpi_addr + header.p_vaddr) & ~(page - 1);
    const auto end = (library.dlpi_addr + header.p_vaddr + header.p_memsz) & ~(page - 1);
    isReadOnly |= header.p_type == PT_GNU_RELRO && address >= start && address < end;
  }
  if (isReadOnly && mprotect(from, page, PROT_READ | PROT_WRITE) != 0) return false;
  // Other threads may be calling through it.
  std::atomic_ref<void*>(*slot).store(function);
  if (isReadOnly) mprotect(from, page, PROT_READ);
  return true;
}

bool moveReallocated(const dl_phdr_info& library) {
  bool isRedirected = false;
  for (int i = 0; i < library.dlpi_phnum; ++i) {
    const auto& header = library.dlpi_phdr[i];
    if (header.p_type != PT_DYNAMIC) continue;
    const auto dynamic =
        dynamicOf(library, reinterpret_cast<const ElfW(Dyn)*>(library.dlpi_addr + header.p_vaddr));
    if (dynamic.symbols == nullptr || dynamic.names == nullptr) continue;
    for (const auto& table : {dynamic.calls, dynamic.data}) {
      for (const auto& relocation : table) {
        const auto type = static_cast<uint32_t>(ELF64_R_TYPE(relocation.r_info));
        if (type != kJumpSlot && type != kGlobalData) continue;
        const auto& symbol = dynamic.symbols[ELF64_R_SYM(relocation.r_info)];
        if (std::strcmp(dynamic.names + symbol.st_name, "realloc") != 0) continue;
        auto* const slot = reinterpret_cast<void**>(library.dlpi_addr + relocation.r_offset);
        isRedirected |= redirect(slot, reinterpret_cast<void*>(movingRealloc), library);
      }
    }
  }
  return isRedirected;
}

bool moveReallocatedOf(const std::string& exported) {
  static std::mutex mutex;
  static std::set<std::string> moved;
  const std::scoped_lock lock(mutex);
  // The import table is the process's; every thread asks.
  if (moved.contains(exported)) return true;
  // dlopen() must not be called inside dl_iterate_phdr(): each holds a lock that the other one waits for.
  std::vector<dl_phdr_info> libraries;
  dl_iterate_phdr(
      [](dl_phdr_info* library, size_t, void* into) {
        static_cast<std::vector<dl_phdr_info>*>(into)->push_back(*library);
        return 0;
      },
      &libraries);
  bool isRedirected = false;
  for (const auto& library : libraries) {
    if (library.dlpi_name == nullptr || library.dlpi_name[0] == '\0') continue;
    if (exportsSymbol(library, exported)) isRedirected |= moveReallocated(library);
  }
  if (isRedirected) moved.insert(exported);
  return isRedirected;
}

#else

bool moveReallocatedOf(const std::string&) { return false; }

#endif

/** (exported: string) → whether realloc() of the library that exports it never returns the same place. */
Napi::Value MoveReallocated(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), moveReallocatedOf(info[0].ToString().Utf8Value()));
}

}  // namespace

void exportImports(Napi::Env env, Napi::Object exports) {
  exports.Set("moveReallocated", Napi::Function::New(env, MoveReallocated, "moveReallocated"));
}

}  // namespace sidetone::binding
