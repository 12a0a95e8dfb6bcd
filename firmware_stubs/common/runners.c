#include "device.h"

#ifdef HW_TEST_BUILD
extern const struct hw_runner hw_test;
#endif

const struct hw_runner *const hw_runners[] = {
#ifdef HW_WITH_LOIHI
    &hw_loihi,
#endif
#ifdef HW_WITH_SPINNAKER
    &hw_spinnaker,
#endif
#ifdef HW_WITH_SFQ
    &hw_sfq,
#endif
#ifdef HW_WITH_CROSSBAR
    &hw_crossbar,
#endif
#ifdef HW_TEST_BUILD
    &hw_test,
#endif
    NULL,
};

const struct hw_runner *hw_runner_of(uint8_t kind, uint8_t layout)
{
    for (uint32_t i = 0; hw_runners[i]; i++)
        if (hw_runners[i]->kind == kind && hw_runners[i]->layout == layout)
            return hw_runners[i];
    return NULL;
}
