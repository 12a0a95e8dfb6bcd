/* Memory that survives a reset: a file without a name, which stays open while the program executes itself again. */
#include "hal_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT 4096u

static uint8_t *memory;

static int make_file(void)
{
#ifdef __linux__
    return memfd_create("hwsdk-device", 0);
#else
    char name[] = "/tmp/hwsdk-device-XXXXXX";
    int file = mkstemp(name);
    if (file >= 0)
        unlink(name);
    return file;
#endif
}

bool host_memory(void)
{
    size_t bytes = KEPT + host_options.arena;
    if (host_kept.memory < 0) {
        host_kept.memory = make_file();
        if (host_kept.memory < 0 || ftruncate(host_kept.memory, (off_t)bytes))
            return host_fail("memory of the device");
    }
    void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, host_kept.memory, 0);
    if (found == MAP_FAILED)
        return host_fail("memory of the device");
    memory = found;
    return true;
}

uint8_t *hal_arena(uint32_t *bytes)
{
    *bytes = host_options.arena;
    return memory + KEPT;
}

uint8_t *hal_kept(uint32_t *bytes)
{
    *bytes = KEPT;
    return memory;
}
