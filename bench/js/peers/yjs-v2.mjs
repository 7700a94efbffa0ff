import { v2 } from './yjs.mjs'
export default v2
