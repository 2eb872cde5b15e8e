/** The sign of the product. */

export function Brand() {
  return (
    <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#4f46e5" />
      <path
        d="M10 10.5h3.5c3 0 3 5.5 6 5.5h2M10 21.5h3.5c3 0 3-5.5 6-5.5"
        fill="none"
        stroke="#fff"
        strokeWidth="2.4"
        strokeLinecap="round"
      />
      <circle cx="9" cy="10.5" r="2.6" fill="#fff" />
      <circle cx="9" cy="21.5" r="2.6" fill="#fff" />
      <circle cx="23.5" cy="16" r="2.6" fill="#fff" />
    </svg>
  );
}
