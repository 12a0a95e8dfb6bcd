#include "hal.h"

/* For boards on which no byte that came in can be lost. */
__attribute__((weak)) uint32_t hal_overrun(void)
{
    return 0;
}
