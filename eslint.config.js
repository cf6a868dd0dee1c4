import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const NO_EXIT = 'Only src/main.ts ends the process: set a status, or throw a Failure.';

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', '.cache/', 'test/fixtures/']),
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      // A promise that nobody waits for may lose a failure that must not be lost: a safety rule in this program.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/strict-boolean-expressions': [
        'error',
        // Optional objects and optional texts are asked for by name; a number never is: 0 is a value.
        { allowNullableObject: true, allowNullableString: true, allowNullableBoolean: true, allowNumber: false },
      ],
      // Numbers in messages are what they are.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // The compiler's noPropertyAccessFromIndexSignature asks for the brackets that this rule would take away.
      '@typescript-eslint/dot-notation': ['error', { allowIndexSignaturePropertyAccess: true }],
      // A file tells its story first, and its helpers after it; only what would fail at load time is refused.
      '@typescript-eslint/no-use-before-define': [
        'error',
        { functions: false, classes: false, variables: false, typedefs: false },
      ],
      // An async function without an await turns what it throws into a rejection, which its signature promises.
      '@typescript-eslint/require-await': 'off',
      'no-restricted-properties': ['error', { object: 'process', property: 'exit', message: NO_EXIT }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ImportSpecifier[imported.name="exit"]', message: NO_EXIT },
        { selector: 'ExportAllDeclaration', message: 'No barrel files: import from where it is written.' },
      ],
      // The compiler tells of these, and knows the underscore.
      '@typescript-eslint/no-unused-vars': 'off',
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreVoidReturningFunctions: true, ignoreArrowShorthand: true },
      ],
      eqeqeq: 'error',
      'prefer-const': 'error',
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', Buffer: 'readonly', URL: 'readonly' } },
  },
  {
    // The one place that ends the process, and the programs that test what becomes of bad endings.
    files: ['src/main.ts', 'test/launcher/faulty/**'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    // What goes to the server's log, or to an operator's pipe, goes one way: through the `Io` that a command is given.
    files: ['src/**/*.ts'],
    rules: { 'no-console': 'error' },
  },
);
