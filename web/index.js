/*
 * The JavaScript package.
 */
export const version = '0.1.0';
