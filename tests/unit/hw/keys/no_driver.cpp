// SPDX-License-Identifier: BSD-3-Clause
// A shared object that is no key driver.
extern "C" int ssn_no_key_driver();
int ssn_no_key_driver() { return 0; }
