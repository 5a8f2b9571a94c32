/* A stand-in for libnvidia-ml.so.1: answers from nvml.txt beside the library.
   Written from the public signatures; "KEY NUMBER-OR-TEXT" on each line. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char table[1 << 18];

static void load(void) {
  Dl_info info;
  char path[4096];
  FILE *file;
  if (table[0] || !dladdr((void *)load, &info)) return;
  snprintf(path, sizeof path, "%s", info.dli_fname);
  strcpy(strrchr(path, '/'), "/nvml.txt");
  table[0] = '\n';
  if ((file = fopen(path, "r"))) table[1 + fread(table + 1, 1, sizeof table - 2, file)] = 0;
}

static const char *text(const char *key) {
  static char value[512];
  char wanted[128], *found;
  load();
  snprintf(wanted, sizeof wanted, "\n%s ", key);
  if (!(found = strstr(table, wanted))) return NULL;
  found += strlen(wanted);
  snprintf(value, sizeof value, "%.*s", (int)strcspn(found, "\n"), found);
  return value;
}

static const char *of(const void *device, const char *key) {
  char whole[128];
  long number = (long)device - 1;
  if (number >= 1000)
    snprintf(whole, sizeof whole, "%ld.part%ld.%s", number / 1000 - 1, number % 1000, key);
  else
    snprintf(whole, sizeof whole, "%ld.%s", number, key);
  return text(whole);
}

static int put(const char *value, char *out, unsigned size) {
  if (!value) return 3;
  snprintf(out, size, "%s", value);
  return 0;
}

static int number(const void *device, const char *key, unsigned *out) {
  const char *value = of(device, key);
  if (!value) return 3;
  *out = (unsigned)strtoul(value, NULL, 10);
  return 0;
}

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { char legacy[16]; unsigned n[5]; char bus[32]; } pci_t;
typedef struct { unsigned char uuid[16]; unsigned status, clique; unsigned char state; } fabric_t;
typedef struct {
  unsigned field, scope; long long at, latency; unsigned type, result;
  union { double d; unsigned u; unsigned long long q; } value;
} field_t;

int nvmlInit_v2(void) {
  const char *code;
  if (text("hang")) for (;;) pause();
  code = text("init");
  return code ? atoi(code) : 0;
}
const char *nvmlErrorString(int code) {
  switch (code) {
    case 0: return "Success";
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "RM has detected an NVML/RM version mismatch.";
    default: return "Unknown Error";
  }
}
int nvmlSystemGetNVMLVersion(char *out, unsigned size) { return put(text("library"), out, size); }
int nvmlSystemGetDriverVersion(char *out, unsigned size) { return put(text("driver"), out, size); }
int nvmlSystemGetCudaDriverVersion_v2(int *out) {
  const char *value = text("cuda");
  if (!value) return 13;
  *out = atoi(value);
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned *out) {
  const char *value = text("count");
  *out = value ? (unsigned)atoi(value) : 0;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out) {
  unsigned code = 0;
  *out = (void *)(long)(index + 1);
  number(*out, "handle", &code);
  return (int)code;
}
int nvmlDeviceGetName(void *d, char *out, unsigned size) { return put(of(d, "name"), out, size); }
int nvmlDeviceGetUUID(void *d, char *out, unsigned size) { return put(of(d, "uuid"), out, size); }
int nvmlDeviceGetBrand(void *d, unsigned *out) { return number(d, "brand", out); }
int nvmlDeviceGetPersistenceMode(void *d, unsigned *out) { return number(d, "persistence", out); }
int nvmlDeviceGetComputeMode(void *d, unsigned *out) { return number(d, "mode", out); }
int nvmlDeviceGetMaxMigDeviceCount(void *d, unsigned *out) { return number(d, "parts", out); }
int nvmlDeviceGetCudaComputeCapability(void *d, int *major, int *minor) {
  return number(d, "major", (unsigned *)major) | number(d, "minor", (unsigned *)minor);
}
int nvmlDeviceGetMigMode(void *d, unsigned *current, unsigned *pending) {
  return number(d, "mig", current) | number(d, "mig", pending);
}
int nvmlDeviceGetEccMode(void *d, unsigned *current, unsigned *pending) {
  return number(d, "ecc", current) | number(d, "ecc", pending);
}
int nvmlDeviceGetRemappedRows(void *d, unsigned *a, unsigned *b, unsigned *c, unsigned *e) {
  *a = *b = 0;
  return number(d, "pending", c) | number(d, "failed", e);
}
int nvmlDeviceGetTotalEccErrors(void *d, unsigned type, unsigned counter, unsigned long long *out) {
  unsigned value;
  if (type != 1 || counter != 0) return 2;
  if (number(d, "uncorrected", &value)) return 3;
  *out = value;
  return 0;
}
int nvmlDeviceGetMemoryInfo(void *d, memory_t *out) {
  const char *value = of(d, "total");
  if (!value) return 3;
  out->total = strtoull(value, NULL, 10);
  value = of(d, "free");
  out->free = value ? strtoull(value, NULL, 10) : 0;
  out->used = out->total - out->free;
  return 0;
}
int nvmlDeviceGetPciInfo_v3(void *d, pci_t *out) {
  memset(out, 0, sizeof *out);
  return put(of(d, "bus"), out->bus, sizeof out->bus);
}
int nvmlDeviceGetGpuFabricInfo(void *d, fabric_t *out) {
  unsigned state;
  if (number(d, "fabric", &state)) return 3;
  memset(out, 0, sizeof *out);
  out->state = (unsigned char)state;
  return 0;
}
int nvmlDeviceGetFieldValues(void *d, int count, field_t *out) {
  unsigned value;
  if (count != 1 || out->field != 230) return 2;
  out->result = (unsigned)number(d, "recovery", &value);
  out->value.q = 0xdeadbeefULL << 32;
  out->value.u = value;
  return 0;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *d, unsigned index, void **out) {
  *out = (void *)(((long)d) * 1000 + (long)index + 1);
  return of(*out, "uuid") ? 0 : 6;
}
