//! Reads and writes of memory that is not the module's.

use crate::access::{read, read_upwards, rewrite, write, write_upwards};
use crate::raw::{
    BAD_ADDRESS, DEVICE, FAR, KERNEL_DATA, KERNEL_TEXT, NON_CANONICAL, NULL, OTHER_SPACE, PHYSICAL_MAP, USER_BASE,
    data, fields, relocated, rodata, services, text,
};

accesses! { in context:
    read_null: read(NULL);
    write_null: write(NULL);
    read_bad_address: read(BAD_ADDRESS);
    read_non_canonical: read(NON_CANONICAL);
    write_non_canonical: write(NON_CANONICAL);
    write_text: write(text());
    write_rodata: write(rodata());
    write_relocated: write(relocated());
    read_far_from_text: read(text() + FAR);
    read_far_from_rodata: read(rodata() + FAR);
    read_far_from_data: read(data() + FAR);
    write_far_from_data: write(data() + FAR);
    read_off_text: read_upwards(text());
    read_off_data: read_upwards(data());
    read_kernel_text: read(KERNEL_TEXT);
    write_kernel_text: write(KERNEL_TEXT);
    read_kernel_data: read(KERNEL_DATA);
    write_kernel_data: write(KERNEL_DATA);
    read_physical_map: read(PHYSICAL_MAP);
    write_physical_map: write(PHYSICAL_MAP);
    read_device: read(DEVICE);
    write_device: write(DEVICE);
    read_other_space: read(OTHER_SPACE);
    write_other_space: write(OTHER_SPACE);
    read_user_base: read(USER_BASE);
    write_user_base: write(USER_BASE);
    /// Writes the first instruction of the service `log`.
    write_service_code: write(services(context).log as *const () as usize);
    write_service_table: write(fields(context).services.addr());
    /// Writes back the present value.
    write_input: rewrite(fields(context).input.addr());
    write_past_heap: write_upwards(fields(context).heap.addr());
    write_past_output: write_upwards(fields(context).output.addr());
    read_past_input: read_upwards(fields(context).input.addr());
}
