// A libnvidia-ml.so.1 with two accelerators that are not there, as far as the probe calls it. Where CONTROL is a path, the
// words in that file say what goes wrong.

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID = 2, NOT_SUPPORTED = 3, LOST = 15 };

struct device {
    const char *uuid, *bus_id;
    unsigned long long total, free, used;
    unsigned compute, memory, celsius, milliwatts, limit, clocks[4];
};

static struct device devices[] = {
    {"GPU-5f0e6b2c-0000", "00000000:3B:00.0", 151397597184ull, 113548197888ull, 37849399296ull, 37, 12, 41, 123456, 700000,
     {1980, 1965, 3201, 1545}},
    {"GPU-5f0e6b2c-0001", "00000000:AF:00.0", 85899345920ull, 85899345920ull, 0, 0, 0, 29, 61000, 0, {345, 345, 1593, 0}},
};

static int told(const char *word) {
#ifdef CONTROL
    char words[256] = {0};
    FILE *file = fopen(CONTROL, "r");
    if (!file) return 0;
    size_t length = fread(words, 1, sizeof words - 1, file);
    fclose(file);
    return length > 0 && strstr(words, word) != NULL;
#else
    return 0;
#endif
}

int nvmlInit_v2(void) {
    if (told("uninitialized")) return 9;
    fprintf(stderr, "the library greets\n");
    return SUCCESS;
}

const char *nvmlErrorString(int status) {
    return status == LOST ? "GPU is lost" : status == 9 ? "Driver Not Loaded" : "Unknown Error";
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "570.00.1");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = told("one-only") ? 1 : 2;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **device) {
    if (index > 1) return INVALID;
    *device = &devices[index];
    return SUCCESS;
}

int nvmlDeviceGetName(struct device *device, char *name, unsigned length) {
    snprintf(name, length, device == devices ? "NVIDIA H200" : "NVIDIA A100");
    return SUCCESS;
}

int nvmlDeviceGetUUID(struct device *device, char *uuid, unsigned length) {
    snprintf(uuid, length, "%s", device->uuid);
    return SUCCESS;
}

struct pci_info {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
};

int nvmlDeviceGetPciInfo_v3(struct device *device, struct pci_info *info) {
    memset(info, 0, sizeof *info);
    info->id = device == devices ? 0x233510deu : 0x20b010deu;
    snprintf(info->bus_id, sizeof info->bus_id, "%s", device->bus_id);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(struct device *device, unsigned long long *memory) {
    memory[0] = device->total;
    memory[1] = device->free;
    memory[2] = device->used;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(struct device *device, unsigned *percent) {
    if (device == &devices[1] && !told("healthy")) return LOST;
    percent[0] = device->compute;
    percent[1] = device->memory;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(struct device *device, int sensor, unsigned *celsius) {
    while (device == devices && told("hang")) pause();
    if (sensor != 0) return INVALID;
    *celsius = device->celsius;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(struct device *device, unsigned *milliwatts) {
#ifdef CONTROL
    if (device == devices && told("crash")) {
        unlink(CONTROL);
        *(volatile int *)0 = 0;
    }
#endif
    *milliwatts = device->milliwatts;
    return SUCCESS;
}

int nvmlDeviceGetEnforcedPowerLimit(struct device *device, unsigned *milliwatts) {
    if (device->limit == 0) return NOT_SUPPORTED;
    *milliwatts = device->limit;
    return SUCCESS;
}

int nvmlDeviceGetClockInfo(struct device *device, unsigned which, unsigned *megahertz) {
    if (which > 3) return INVALID;
    if (device->clocks[which] == 0) return NOT_SUPPORTED;
    *megahertz = device->clocks[which];
    return SUCCESS;
}
