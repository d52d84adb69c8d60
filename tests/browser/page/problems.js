/* What the page complains of: errors nobody caught, what its policy forbids, and what the package writes to the console. */
window.problems = [];
addEventListener('error', ({ message }) => problems.push(message));
addEventListener('unhandledrejection', ({ reason }) => problems.push(`${reason}`));
document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => problems.push(`${violatedDirective} ${blockedURI}`));
for (const level of ['error', 'warn']) console[level] = (...what) => problems.push(what.join(' '));
